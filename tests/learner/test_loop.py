"""The learner's loop on a real store with a real, tiny backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from backbones import Input, Prefix, Preprocessed
from backbones.text.backbone import TorchTextBackbone
from learner.archive import METHOD, Archive
from learner.build import build_learner
from learner.content import DOMAIN_PREFIX, Content, ContentReader
from learner.errors import Cancelled, Superseded
from learner.events import Event
from learner.loop import Learner
from learner.publisher import RELEASED
from learner.sight import Seen
from prompt_store import Batch, Draft, Example, Kind, Manifest, Store
from tests.learner.conftest import MakeLearner, batch, quick, run_dry, text


def live(store: Store) -> Manifest:
    version = store.timeline().live
    assert version is not None
    return store.manifest(version)


def content(store: Store) -> Content:
    return ContentReader(store.blobs).read(live(store))


def log(store: Store) -> list[Manifest]:
    return [store.manifest(n) for n in range(1, store.timeline().head + 1)]


def kinds(store: Store) -> list[Kind]:
    return [manifest.kind for manifest in log(store)]


def send(store: Store, *batches: Batch) -> list[Batch]:
    for one in batches:
        store.intake.accept(one)
    return list(batches)


def answer(store: Store, backbone: TorchTextBackbone, text: str) -> str:
    (domain,) = content(store).domains
    bank = content(store).bank(backbone.description)
    states = backbone.encode_layers(backbone.preprocess([Input(text=text)]), bank)
    return domain.labels[int(domain.head.log_posteriors(Seen(states.pooled)).argmax())]


def prompt(store: Store) -> Prefix | None:
    (domain,) = content(store).domains
    return domain.prefix


def tasks(store: Store) -> set[str]:
    return {task for domain in content(store).domains for task in domain.tasks}


def test_classes_are_known_after_the_refresh_and_the_batch_ends_published(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store)
    (sent,) = send(store, batch("mail", ["refund", "order"]))
    assert learner.step()
    assert store.timeline().undecided == {sent.id: 2}
    assert answer(store, tiny, text("refund")) == "mail/refund"
    assert answer(store, tiny, text("order")) == "mail/order"
    run_dry(learner)
    outcome = store.intake.outcome(sent.id)
    assert outcome is not None
    assert outcome.status == "published"
    assert store.timeline().undecided == {}


def test_a_batch_with_one_class_is_published_by_its_refresh(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    (sent,) = send(store, batch("mail", ["refund"]))
    run_dry(learner_on(store))
    assert kinds(store) == [Kind.FENCE, Kind.REFRESH]
    assert live(store).decided == (sent.id,)
    assert answer(store, tiny, "anything at all") == "mail/refund"


def test_the_frozen_method_trains_nothing(store: Store, learner_on: MakeLearner) -> None:
    send(store, batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"]))
    run_dry(learner_on(store, quick(method="frozen")))
    assert kinds(store) == [Kind.FENCE, Kind.REFRESH]
    assert live(store).tasks["bank"].classes == 2
    assert live(store).tasks["bank"].examples == 16


def test_an_open_gate_serves_the_trained_prompts(store: Store, learner_on: MakeLearner) -> None:
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner_on(store, quick(gate="open")))
    assert kinds(store) == [Kind.FENCE, Kind.REFRESH, Kind.TRAIN]
    served = content(store)
    aggregate = prompt(store)
    assert aggregate is not None
    assert aggregate.length == 4
    assert served.rows == {"mail": 1}
    assert set(served.heads) == set(served.prefixes) == {"mail"}
    assert live(store).tasks["mail"].mode == "prompt"


def test_a_refused_candidate_changes_nothing_but_training_goes_on_from_it(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="closed"))
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    send(store, batch("bank", ["card", "loan"]))
    run_dry(learner)
    assert kinds(store) == [Kind.FENCE] + 2 * [Kind.REFRESH, Kind.CANDIDATE]
    assert prompt(store) is None
    assert (log(store)[-1].gate or {})["accepted"] is False
    state = Archive(store.blobs).read_method(log(store)[-1])
    assert state is not None
    assert state.queue.owners == ("mail", "bank")


def test_joint_training_takes_the_rows_of_all_tasks(store: Store, learner_on: MakeLearner) -> None:
    learner = learner_on(store, quick(method="joint", gate="open"))
    trained = []
    for one in (batch("mail", ["refund", "order"]), batch("bank", ["card", "loan", "rate"])):
        send(store, one)
        run_dry(learner)
        state = Archive(store.blobs).read_method(log(store)[-1])
        assert state is not None
        trained.append(int(state.notes["examples"]))
    mail, both = trained
    assert both == mail / 2 * 5


def test_a_refresh_carries_the_method_s_state_for_rollbacks(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="open"))
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    send(store, batch("bank", ["card"]))
    run_dry(learner)
    refreshed = live(store)
    assert refreshed.kind is Kind.REFRESH
    assert any(role.startswith(METHOD) for role in refreshed.blobs)


def test_the_queue_stays_bounded_over_many_tasks(store: Store, learner_on: MakeLearner) -> None:
    learner = learner_on(store, quick(gate="open"))
    for i in range(5):
        send(store, batch(f"task-{i}", [f"a{i}", f"b{i}"], rows=6))
        run_dry(learner)
        aggregate = prompt(store)
        assert aggregate is not None
        assert aggregate.length <= 2 + 2 * 2


def test_a_batch_that_arrives_during_training_is_refreshed_before_it_ends(
    store: Store, learner_on: MakeLearner
) -> None:
    later = batch("bank", ["card", "loan"])

    def emit(event: Event) -> None:
        if event.phase == "training" and event.epoch and event.task == "mail":
            store.intake.accept(later)

    learner = learner_on(store, quick(gate="open"), emit)
    (first,) = send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    learnt = next(m.version for m in log(store) if later.id in m.batches)
    decided = next(m.version for m in log(store) if first.id in m.decided)
    assert learnt < decided
    assert tasks(store) == {"mail", "bank"}


def test_more_examples_of_a_task_train_it_again(store: Store, learner_on: MakeLearner) -> None:
    learner = learner_on(store, quick(gate="open"))
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    before = live(store).blobs["prefix/task/mail"]
    send(store, batch("mail", ["thanks"]))
    run_dry(learner)
    assert live(store).tasks["mail"].classes == 3
    assert live(store).blobs["prefix/task/mail"] != before


def test_a_second_learner_fences_off_the_first(store: Store, learner_on: MakeLearner) -> None:
    first = learner_on(store)
    second = learner_on(store)
    send(store, batch("mail", ["refund", "order"]))
    with pytest.raises(Superseded):
        first.step()
    assert second.step()


def test_a_learner_is_fenced_off_even_in_the_middle_of_training(
    store: Store, learner_on: MakeLearner
) -> None:
    others: list[Learner] = []

    def emit(event: Event) -> None:
        if event.phase == "training" and event.epoch and not others:
            others.append(learner_on(store))

    learner = learner_on(store, quick(), emit)
    send(store, batch("mail", ["refund", "order"]))
    with pytest.raises(Superseded):
        run_dry(learner)
    run_dry(others[0])
    assert store.timeline().undecided == {}


def test_stopping_interrupts_a_training_and_nothing_is_lost(
    store: Store, tiny: TorchTextBackbone, learner_on: MakeLearner
) -> None:
    stop = False

    def emit(event: Event) -> None:
        nonlocal stop
        stop = event.phase == "training"

    learner = build_learner(store, tiny, quick(), emit=emit, stopping=lambda: stop)
    learner.start()
    (sent,) = send(store, batch("mail", ["refund", "order"]))
    with pytest.raises(Cancelled):
        run_dry(learner)
    assert store.intake.pending() == [sent.id]
    run_dry(learner_on(store))
    assert store.intake.pending() == []


def test_a_rollback_undoes_and_what_it_undid_is_not_learnt_again(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store)
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    good = live(store).version
    (unwanted,) = send(store, batch("bank", ["card", "loan"]))
    assert learner.step()
    store.promote(good, "test")
    run_dry(learner)
    outcome = store.intake.outcome(unwanted.id)
    assert outcome is not None
    assert (outcome.status, outcome.error) == ("failed", RELEASED)
    assert tasks(store) == {"mail"}
    send(store, batch("news", ["sports", "money"]))
    run_dry(learner)
    assert tasks(store) == {"mail", "news"}


def test_a_candidate_promoted_by_hand_serves_at_once_and_is_completed(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, quick(gate="closed"))
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    candidate = store.timeline().head
    store.promote(candidate, "test")
    assert answer(store, tiny, text("refund")) == "mail/refund"
    run_dry(learner)
    completed = live(store)
    assert completed.kind is Kind.REFRESH
    served = f"{DOMAIN_PREFIX}all"
    assert completed.blobs[served] == store.manifest(candidate).blobs[served]
    knowledge = Archive(store.blobs).read(completed)
    assert knowledge.is_complete
    assert knowledge.tasks["mail"].own is not None


def test_a_promotion_while_a_prompt_trains_makes_the_gate_look_again(
    store: Store, learner_on: MakeLearner
) -> None:
    promoted: list[int] = []

    def emit(event: Event) -> None:
        if event.phase == "evaluating" and not promoted:
            version = store.timeline().live
            assert version is not None
            promoted.append(store.promote(version, "test").version)

    learner = learner_on(store, quick(gate="open"), emit)
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner)
    trained = live(store)
    assert trained.kind is Kind.TRAIN
    assert trained.parent == promoted[0]


def test_an_input_the_backbone_cannot_see_fails_its_batch_alone(
    store: Store, learner_on: MakeLearner
) -> None:
    picture = batch("mail", ["cat"]).model_copy(
        update={"examples": (Example(id="0", label="cat", image="0" * 64),)}
    )
    send(store, picture, batch("mail", ["refund", "order"]))
    run_dry(learner_on(store))
    outcome = store.intake.outcome(picture.id)
    assert outcome is not None
    assert outcome.status == "failed"
    assert content(store).labels == ("mail/refund", "mail/order")


def test_classes_keep_a_bounded_number_of_examples_but_count_all(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(method="frozen", keep_per_class=4))
    send(store, batch("mail", ["refund", "order"]), batch("mail", ["refund"]))
    run_dry(learner)
    knowledge = Archive(store.blobs).read(live(store))
    assert len(knowledge.tasks["mail"].examples.rows) == 8
    assert knowledge.tasks["mail"].examples.seen == {"refund": 16, "order": 8}
    statistics = knowledge.domains[0].statistics
    assert statistics is not None
    assert statistics.total == 24


def test_the_same_batches_and_seed_learn_the_same(learner_on: MakeLearner) -> None:
    sent = [batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"])]
    stores = [Store.open(f"memory://same-{i}") for i in range(2)]
    for store in stores:
        send(store, *sent)
        run_dry(learner_on(store, quick(gate="open")))
    assert live(stores[0]).blobs == live(stores[1]).blobs


def test_another_backbone_s_store_is_refused(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    send(store, batch("mail", ["refund", "order"]))
    run_dry(learner_on(store))
    foreign = live(store).model_dump(exclude={"version", "created_at", "commit"})
    store.append(
        Draft(**{**foreign, "backbone": "another", "batches": (), "decided": ()}),
        after=store.timeline().head,
    )
    with pytest.raises(ValueError, match="another"):
        learner_on(store)


def test_statistics_equal_those_of_the_kept_features(store: Store, learner_on: MakeLearner) -> None:
    send(store, batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"]))
    run_dry(learner_on(store, quick(gate="open")))
    knowledge = Archive(store.blobs).read(live(store))
    (domain,) = knowledge.domains
    assert domain.statistics is not None
    features = knowledge.seen(domain).features.astype(np.float64)
    np.testing.assert_allclose(domain.statistics.scatter, features.T @ features, atol=1e-9)


def test_a_training_that_diverges_leaves_the_batch_learnt_and_live_as_it_was(
    store: Store, learner_on: MakeLearner
) -> None:
    wild = quick(gate="open")
    wild = wild.model_copy(
        update={"q_tuning": wild.q_tuning.model_copy(update={"learning_rate": 1e30})}
    )
    (sent,) = send(store, batch("mail", ["refund", "order"]))
    run_dry(learner_on(store, wild))
    outcome = store.intake.outcome(sent.id)
    assert outcome is not None
    assert outcome.status == "published"
    assert prompt(store) is None
    assert "training loss" in (live(store).gate or {})["reason"]


class Stumbling:
    """The tiny backbone, except that it fails on texts with a certain word."""

    def __init__(self, inner: TorchTextBackbone) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        if any("poison" in (one.text or "") for one in inputs):
            raise RuntimeError("an error nobody foresaw")
        return self._inner.preprocess(inputs)


def test_a_batch_that_always_fails_is_given_up_and_blocks_nobody(
    store: Store, tiny: TorchTextBackbone
) -> None:
    learner = build_learner(store, Stumbling(tiny), quick(method="frozen"))
    learner.start()
    bad = batch("mail", ["poison"])
    bad = bad.model_copy(update={"examples": (Example(id="0", label="x", text="poison"),)})
    send(store, bad, batch("mail", ["refund", "order"]))
    failures = 0
    for _ in range(20):
        try:
            if not learner.step():
                break
        except RuntimeError:
            failures += 1
    outcome = store.intake.outcome(bad.id)
    assert outcome is not None
    assert outcome.status == "failed"
    assert "an error nobody foresaw" in (outcome.error or "")
    assert failures == 2
    assert content(store).labels == ("mail/refund", "mail/order")


def test_a_training_that_always_fails_is_given_up(
    store: Store, tiny: TorchTextBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = build_learner(store, tiny, quick())
    learner.start()
    (sent,) = send(store, batch("mail", ["refund", "order"]))
    assert learner.step()
    monkeypatch.setattr(tiny, "features", None)  # calling it is a TypeError
    for _ in range(2):
        with pytest.raises(TypeError):
            learner.step()
    run_dry(learner)
    outcome = store.intake.outcome(sent.id)
    assert outcome is not None
    assert outcome.status == "published"
    assert "training failed" in (live(store).gate or {})["reason"]


@pytest.mark.parametrize(("rows", "trains"), [(8, False), (12, True)])
def test_a_prompt_is_trained_only_where_the_gate_could_accept_it(
    rows: int, trains: bool, store: Store, learner_on: MakeLearner
) -> None:
    send(store, batch("mail", ["refund", "order"], rows=rows))
    run_dry(learner_on(store, quick(gate="test")))
    assert (len(kinds(store)) > 2) is trains
