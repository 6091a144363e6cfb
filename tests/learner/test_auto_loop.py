"""The default policy in the loop: domains, each with a prompt that was trained in halves."""

from __future__ import annotations

from typing import Any

import numpy as np

from backbones import Input, Prefix
from backbones.text.backbone import TorchTextBackbone
from learner.archive import Archive
from learner.config import LearnerConfig
from learner.content import DOMAIN_HEAD, DOMAIN_PREFIX, ROUTER, Content, ContentReader
from learner.gate import GateConfig
from learner.knowledge import Knowledge
from learner.loop import Learner
from learner.methods.config import AutoConfig
from learner.sight import Seen
from prompt_store import Batch, Kind, Manifest, Store
from tests.learner.conftest import MakeLearner, batch, run_dry, text

TOGETHER = {"mail": "desk", "bank": "desk", "news": "desk"}
APART = {"mail": "letters", "bank": "money", "news": "press"}


def auto(
    gate: Any = "open", domains: dict[str, str] | None = None, **options: Any
) -> LearnerConfig:
    """Two rows, two steps."""
    return LearnerConfig(
        method="auto",
        auto=AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2),
        gate=GateConfig(mode=gate),
        declared_domains=domains or {},
        poll_seconds=1e-6,
        **options,
    )


def live(store: Store) -> Manifest:
    version = store.timeline().live
    assert version is not None
    return store.manifest(version)


def known(store: Store) -> Knowledge:
    return Archive(store.blobs).read(live(store))


def content(store: Store) -> Content:
    return ContentReader(store.blobs).read(live(store))


def teach(learner: Learner, store: Store, *batches: Batch) -> None:
    for one in batches:
        store.intake.accept(one)
        run_dry(learner)


def mail() -> Batch:
    return batch("mail", ["refund", "order"])


def bank() -> Batch:
    return batch("bank", ["card", "loan"])


def news() -> Batch:
    return batch("news", ["sport", "votes"])


def kinds(store: Store) -> list[Kind]:
    return [store.manifest(n).kind for n in range(1, store.timeline().head + 1)]


def prompt_of(store: Store, task: str) -> Prefix:
    prompt = known(store).domain_of(task).prompt
    assert prompt is not None
    return prompt


def answer(store: Store, backbone: TorchTextBackbone, asked: str) -> str:
    served = content(store)
    bank_of = served.bank(backbone.description)
    row = 0 if served.router is None else -1
    rows = None if bank_of is None else np.array([row])
    states = backbone.encode_layers(backbone.preprocess([Input(text=asked)]), bank_of, rows)
    domain = served.domains[0 if bank_of is None else int(states.rows[0])]
    return domain.labels[int(domain.head.log_posteriors(Seen(states.pooled)).argmax())]


def forget(learner: Learner, store: Store, task: str) -> None:
    store.erasures.ask(task, after=store.timeline().head)
    run_dry(learner)


def test_classes_are_known_after_the_refresh_alone(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, auto())
    store.intake.accept(mail())
    assert learner.step()
    assert kinds(store) == [Kind.FENCE, Kind.REFRESH]
    assert answer(store, tiny, text("refund")) == "mail/refund"
    assert answer(store, tiny, text("order")) == "mail/order"


def test_an_open_gate_serves_the_domain_s_prompt_and_the_version_says_so(
    store: Store, learner_on: MakeLearner
) -> None:
    teach(learner_on(store, auto()), store, mail())
    assert kinds(store) == [Kind.FENCE, Kind.REFRESH, Kind.TRAIN]
    assert DOMAIN_PREFIX + "mail" in live(store).blobs
    (served,) = content(store).domains
    assert served.prefix is not None
    assert served.prefix.length == 2
    (domain,) = known(store).domains
    assert domain.prompt is not None
    assert np.array_equal(domain.prompt.keys_values, served.prefix.keys_values)
    assert domain.taught == ("mail",)
    assert domain.cooling is not None
    assert domain.cooling > 0
    assert live(store).tasks["mail"].domain == "mail"
    assert content(store).prefixes == {}


def test_a_refused_candidate_stays_one_and_is_completed_once_promoted(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, auto("closed"))
    teach(learner, store, mail())
    assert kinds(store) == [Kind.FENCE, Kind.REFRESH, Kind.CANDIDATE]
    assert content(store).domains[0].prefix is None
    candidate = store.timeline().head
    refused = ContentReader(store.blobs).read(store.manifest(candidate)).domains[0].prefix
    assert refused is not None
    store.promote(candidate, "test")
    assert not known(store).is_complete
    run_dry(learner)
    completed = known(store)
    assert completed.is_complete
    assert np.array_equal(prompt_of(store, "mail").keys_values, refused.keys_values)
    assert answer(store, tiny, text("refund")) == "mail/refund"


def test_forgetting_drops_a_promoted_prompt_that_saw_the_task(
    store: Store, learner_on: MakeLearner
) -> None:
    teach(learner_on(store, auto("open", TOGETHER)), store, mail())
    learner = learner_on(store, auto("closed", TOGETHER))
    teach(learner, store, bank())
    store.promote(store.timeline().head, "test")
    run_dry(learner)
    assert prompt_of(store, "bank").length == 2
    forget(learner, store, "bank")
    assert known(store).domain_of("mail").prompt is None


def test_a_promoted_prompt_brings_its_temperature(store: Store, learner_on: MakeLearner) -> None:
    learner = learner_on(store, auto("closed"))
    teach(learner, store, mail())
    store.promote(store.timeline().head, "test")
    run_dry(learner)
    assert known(store).domain_of("mail").cooling is not None


def test_a_new_learner_goes_on_from_the_same_store(store: Store, learner_on: MakeLearner) -> None:
    teach(learner_on(store, auto(domains=TOGETHER)), store, mail())
    before = prompt_of(store, "mail").keys_values
    teach(learner_on(store, auto(domains=TOGETHER)), store, bank())
    (domain,) = known(store).domains
    assert domain.tasks == ("mail", "bank")
    assert domain.taught == ("mail", "bank")
    assert domain.prompt is not None
    moved = np.abs(domain.prompt.keys_values - before).max()
    assert 0 < moved < np.abs(before).max()
    assert content(store).labels == ("mail/refund", "mail/order", "bank/card", "bank/loan")


def test_declared_domains_are_kept_apart_by_a_router_and_together_without(
    learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    stores = [Store.open(f"memory://auto-{name}") for name in ("apart", "together")]
    for store, declared in zip(stores, (APART, TOGETHER), strict=True):
        teach(learner_on(store, auto(domains=declared)), store, mail(), bank())
    apart, together = (content(store) for store in stores)
    assert [domain.tasks for domain in apart.domains] == [("mail",), ("bank",)]
    assert ROUTER in live(stores[0]).blobs
    assert [domain.tasks for domain in together.domains] == [("mail", "bank")]
    assert together.router is None
    for word in ("refund", "card"):
        task = "mail" if word == "refund" else "bank"
        assert answer(stores[0], tiny, text(word)) == f"{task}/{word}"


def test_training_one_domain_changes_nothing_in_another(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, auto(domains=APART))
    teach(learner, store, mail())
    store.intake.accept(bank())
    assert learner.step()
    refreshed = live(store).blobs
    run_dry(learner)
    trained = live(store).blobs
    assert DOMAIN_PREFIX + "bank" in trained.keys() - refreshed.keys()
    same = (DOMAIN_HEAD + "mail", DOMAIN_PREFIX + "mail", ROUTER, "prompted/mail")
    assert [trained[role] for role in same] == [refreshed[role] for role in same]
    assert trained[DOMAIN_HEAD + "bank"] != refreshed[DOMAIN_HEAD + "bank"]


def test_a_domain_that_is_parted_later_is_trained_alone(
    store: Store, learner_on: MakeLearner
) -> None:
    teach(learner_on(store, auto(domains=TOGETHER)), store, mail(), bank())
    shared = prompt_of(store, "mail").keys_values
    parted = {"mail": "letters", "bank": "desk", "news": "desk"}
    teach(learner_on(store, auto(domains=parted)), store, news())
    assert [domain.tasks for domain in known(store).domains] == [("mail",), ("bank", "news")]
    alone = (live(store).gate or {}, prompt_of(store, "mail").keys_values)
    assert alone[0]["task"] == "mail"
    assert not np.array_equal(alone[1], shared)


def test_a_prompt_that_began_anew_was_taught_by_its_own_tasks_only(
    store: Store, learner_on: MakeLearner
) -> None:
    teach(learner_on(store, auto(domains=TOGETHER)), store, mail(), bank())
    parted = {"mail": "letters", "bank": "desk", "news": "desk"}
    teach(learner_on(store, auto(domains=parted)), store, news())
    assert known(store).domain_of("mail").taught == ("mail",)


def test_forgetting_drops_only_prompts_that_saw_the_task(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, auto(domains={**APART, "news": "money"}))
    teach(learner, store, mail(), bank(), news())
    before = live(store).blobs
    forget(learner, store, "news")
    after = live(store).blobs
    assert DOMAIN_PREFIX + "bank" not in after
    same = (DOMAIN_HEAD + "mail", DOMAIN_PREFIX + "mail", "prompted/mail")
    assert [after[role] for role in same] == [before[role] for role in same]
    assert list(known(store).tasks) == ["mail", "bank"]


def test_forgetting_drops_a_prompt_that_was_trained_beside_the_task_s_rows(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, auto(domains=TOGETHER))
    teach(learner, store, batch("mail", ["refund"]), bank())
    assert prompt_of(store, "bank").length == 2
    forget(learner, store, "mail")
    assert known(store).domain_of("bank").prompt is None


def test_a_domain_whose_prompt_was_dropped_is_neither_cooled_nor_taught(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, auto(domains=TOGETHER))
    teach(learner, store, mail(), bank())
    forget(learner, store, "bank")
    (domain,) = learner._standing.knowledge.domains
    assert domain.prompt is None
    assert (domain.taught, domain.cooling) == ((), None)


def test_a_forgotten_task_that_returns_elsewhere_names_no_second_domain(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, auto("closed", TOGETHER))
    teach(learner, store, mail(), bank())
    forget(learner, store, "mail")
    elsewhere = learner_on(store, auto("closed", {"mail": "letters", "bank": "desk"}))
    teach(elsewhere, store, mail())
    assert len(content(store).domains) == 2


def test_classes_with_one_row_break_nothing(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, auto("test"))
    teach(learner, store, batch("rare", ["loan"], rows=1), mail(), batch("mail", ["lost"], rows=1))
    assert store.timeline().undecided == {}
    assert store.intake.pending() == []
    assert "mail/lost" in live(store).labels
    assert answer(store, tiny, text("refund")) == "mail/refund"
