"""Q-tuning on a tiny random BERT: what is trained, what is kept, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backbones.text.backbone import TorchTextBackbone
from learner.errors import Cancelled
from learner.methods.base import Lesson, MethodState
from learner.methods.config import QTuningConfig
from learner.methods.q_tuning import QTuning
from learner.rows import Rows, concat
from prompt_store.tensors import decode_tensors, encode_tensors

MakeLesson = Callable[..., Lesson]
QUICK = {"rows": 3, "shared_rows": 2, "capacity": 3, "epochs": 1, "minimum_steps": 3}


def silent(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    """A `Progress` nobody listens to."""


def quick(**options: object) -> QTuning:
    """Q-tuning in three steps a task."""
    return QTuning(QTuningConfig.model_validate({**QUICK, **options}))


def learn(method: QTuning, backbone: TorchTextBackbone, lessons: list[Lesson]) -> list[MethodState]:
    """The states after each lesson."""
    states = [method.start(backbone.description)]
    for lesson in lessons:
        states.append(method.train(lesson, states[-1], backbone, silent))
    return states[1:]


def same(one: Rows, other: Rows) -> bool:
    """Equal to the bit."""
    return np.array_equal(one.values, other.values) and np.array_equal(one.bias, other.bias)


def test_before_the_first_task_nothing_is_served(tiny: TorchTextBackbone) -> None:
    state = quick().start(tiny.description)
    assert state.aggregate.length == 0
    assert state.snapshots == {}
    state.aggregate.check(tiny.description)


def test_the_first_task_serves_shared_and_own_rows(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    (state,) = learn(quick(), tiny, [lesson("a")])
    assert state.aggregate.length == 2 + 3
    assert state.queue.owners == ("a",)
    assert state.reweighing is not None
    assert same(state.served, concat([state.shared, state.reweighing.fold(state.queue.rows)]))
    assert same(state.kept["a"], state.served)
    state.aggregate.check(tiny.description)


def test_old_rows_stay_and_everything_else_moves(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    first, second = learn(quick(), tiny, [lesson("a"), lesson("bb")])
    assert same(second.queue.rows_of("a"), first.queue.rows_of("a"))
    assert not same(second.shared, first.shared)
    assert second.reweighing is not None
    assert (second.reweighing.over_rows != 1).all()
    assert (second.reweighing.over_width != 1).any()
    assert not same(second.queue.rows_of("bb"), first.queue.rows_of("a"))


def test_without_reweighing_and_shared_prefix_the_queue_is_served_as_it_is(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    states = learn(quick(reweighing=False, shared_rows=0), tiny, [lesson("a"), lesson("bb")])
    assert states[-1].reweighing is None
    assert len(states[-1].shared) == 0
    assert same(states[-1].served, states[-1].queue.rows)


def test_snapshots_never_change(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    tasks = ["a", "bb", "ccc", "dddd", "eeeee"]
    states = learn(quick(), tiny, [lesson(task) for task in tasks])
    for learnt, state in zip(tasks, states, strict=True):
        assert same(states[-1].kept[learnt], state.served)


@pytest.mark.parametrize("eviction", ["pca", "merge", "fifo"])
def test_twelve_tasks_cost_no_more_rows_than_the_capacity(
    eviction: str, tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method = quick(eviction=eviction)
    states = learn(method, tiny, [lesson("t" * n) for n in range(1, 13)])
    most = method.config.capacity_rows + method.config.shared_rows
    lengths = [state.aggregate.length for state in states]
    assert lengths == [5, 8, *[most] * 10]
    assert states[-1].queue.owners == (None, "t" * 12)
    assert states[3].notes["eviction"] == eviction
    assert max(prefix.length for prefix in states[-1].snapshots.values()) == most


def test_eviction_looks_at_kept_rows_of_other_tasks(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    full = learn(quick(), tiny, [lesson(task) for task in ("a", "bb", "ccc")])[-1]
    memory = lesson("other", count=12, seed=9).inputs
    with_memory = quick().train(lesson("dddd", memory=memory), full, tiny, silent)
    without = quick().train(lesson("dddd"), full, tiny, silent)
    assert with_memory.notes["eviction"] == without.notes["eviction"] == "pca"
    assert 0 < float(with_memory.notes["eviction_error"]) < 1
    assert not same(with_memory.served, without.served)


def test_a_task_trained_again_goes_on_from_its_own_rows(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    _, state = learn(quick(), tiny, [lesson("a"), lesson("bb")])
    again = quick(learning_rate=1e-6).train(lesson("a"), state, tiny, silent)
    assert again.notes["rows"] == "warm"
    assert again.queue.owners == ("a", "bb")
    own, before = again.queue.rows_of("a").values, state.queue.rows_of("a").values
    assert not np.array_equal(own, before)
    np.testing.assert_allclose(own, before, atol=1e-4)
    assert same(again.queue.rows_of("bb"), state.queue.rows_of("bb"))
    assert same(again.kept["bb"], state.kept["bb"])


def test_a_task_whose_rows_were_evicted_is_enqueued_anew(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    tasks = [lesson(task) for task in ("a", "bb", "ccc", "dddd")]
    again = learn(quick(), tiny, [*tasks, lesson("a")])[-1]
    assert again.notes["rows"] == "fresh"
    assert again.queue.owners == (None, "a")


def test_a_forgotten_task_leaves_no_snapshot_and_no_warm_start(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    _, state = learn(quick(), tiny, [lesson("a"), lesson("bb")])
    without = state.without("a")
    assert set(without.snapshots) == {"bb"}
    assert without.queue.owners == (None, "bb")
    assert set(state.snapshots) == {"a", "bb"}


def test_a_smaller_capacity_takes_effect_at_the_next_task(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    state = learn(quick(), tiny, [lesson(task) for task in ("a", "bb", "ccc")])[-1]
    smaller = quick(capacity=2).train(lesson("dddd"), state, tiny, silent)
    assert len(smaller.queue) == smaller.queue.capacity == 6


@pytest.mark.parametrize(
    "options",
    [{}, {"reparameterise": True}, {"retention": 0.5}, {"loss": "cosine"}, {"form": "tokens"}],
    ids=lambda options: "-".join(options) or "default",
)
def test_equal_seeds_learn_equal_states(
    options: dict[str, object], tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    if options.get("form") == "tokens":
        options = {**options, "eviction": "merge"}
    tasks = [lesson(task) for task in ("a", "bb", "ccc", "dddd")]
    one, two = (learn(quick(**options), tiny, tasks)[-1] for _ in range(2))
    blobs = [
        {role: encode_tensors(*part) for role, part in state.parts().items()}
        for state in (one, two)
    ]
    assert blobs[0] == blobs[1]


def test_another_seed_learns_another_state(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    (one,), (two,) = (learn(quick(), tiny, [lesson("a", seed=seed)]) for seed in (0, 1))
    assert not same(one.served, two.served)


@pytest.mark.parametrize("options", [{"retention": 0.5}, {"reparameterise": True}])
def test_an_option_changes_what_is_learnt(
    options: dict[str, object], tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    tasks = [lesson("a"), lesson("bb")]
    plain, other = (learn(quick(**chosen), tiny, tasks) for chosen in ({}, options))
    assert same(plain[0].served, other[0].served) == ("retention" in options)
    assert not same(plain[1].served, other[1].served)


@pytest.mark.parametrize(
    "options",
    [
        {"reweighing": False},
        {"shared_rows": 0},
        {"retention": 0.5},
        {"capacity": 2},
        {"eviction": "merge"},
        {"eviction": "fifo"},
        {"form": "tokens", "eviction": "merge"},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_every_switch_of_an_ablation_changes_the_trained_state(
    options: dict[str, object], tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    tasks = [lesson(task, count=12) for task in ("a", "bb", "ccc", "dddd")]
    whole, without = (learn(quick(**chosen), tiny, tasks)[-1] for chosen in ({}, options))
    assert not same(whole.served, without.served)
    assert quick(**options).digest != quick().digest


def test_tokens_are_the_same_algebra(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    method = quick(form="tokens", eviction="merge")
    states = learn(method, tiny, [lesson(task) for task in ("a", "bb", "ccc", "dddd")])
    assert states[-1].form == "tokens"
    assert states[-1].served.to_tokens().tokens.shape == (2 + 9, tiny.description.width)
    assert states[-1].notes["eviction"] == "merge"
    with pytest.raises(ValueError, match="input-token prompts have no keys and values"):
        _ = states[-1].aggregate


@pytest.mark.parametrize("form", ["keys_values", "tokens"])
def test_a_state_survives_storage_to_the_bit(
    form: str, tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method = quick(form=form, eviction="merge")
    state = learn(method, tiny, [lesson(task) for task in ("a", "bb", "ccc", "dddd")])[-1]
    stored = {role: encode_tensors(*part) for role, part in state.parts().items()}
    assert set(stored) == {"queue", "aggregate", *(f"prefix/{t}" for t in state.kept)}
    assert stored["aggregate"] == stored["prefix/dddd"]
    loaded = MethodState.assemble({role: decode_tensors(data) for role, data in stored.items()})
    assert {role: encode_tensors(*part) for role, part in loaded.parts().items()} == stored
    assert loaded.queue.groups == state.queue.groups
    assert loaded.notes == state.notes
    after = (method.train(lesson("eeeee"), s, tiny, silent) for s in (state, loaded))
    assert same(*(s.served for s in after))


def test_unchanged_snapshots_are_the_same_bytes_in_every_version(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    states = learn(quick(), tiny, [lesson(task) for task in ("a", "bb")])
    bytes_of_a = {encode_tensors(*state.parts()["prefix/a"]) for state in states}
    assert len(bytes_of_a) == 1


@pytest.mark.parametrize("loss", ["crossfit", "cosine"])
def test_two_rows_are_enough(loss: str, tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    (state,) = learn(quick(loss=loss, retention=0.1), tiny, [lesson("a", count=2)])
    assert np.isfinite(state.served.values).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": np.array([0, 1, 0])}, "2 inputs with 3 labels"),
        ({"labels": np.array([0, 2])}, "labels from 0 to 2 for 2 classes"),
        ({"classes": 1, "labels": np.array([0, 0])}, "1 class"),
    ],
)
def test_a_lesson_that_contradicts_itself_is_refused(
    change: dict[str, Any], reason: str, lesson: MakeLesson
) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(lesson("a", count=2), **change)


def test_progress_is_reported_at_every_step(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    seen: list[tuple[int, int]] = []
    method = quick(epochs=2, minimum_steps=1)

    def report(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        assert loss > 0
        assert seconds >= 0
        seen.append((epoch, epochs))

    method.train(lesson("a"), method.start(tiny.description), tiny, report)
    assert seen == [(1, 2), (1, 2), (2, 2), (2, 2)]


def test_training_stops_where_the_report_says_so(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    steps = 0

    def stop(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise Cancelled("enough")

    method = quick(minimum_steps=50)
    with pytest.raises(Cancelled):
        method.train(lesson("a"), method.start(tiny.description), tiny, stop)
    assert steps == 2


@pytest.mark.parametrize("loss", ["crossfit", "cosine"])
def test_training_lowers_the_loss(loss: str, tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    losses: dict[int, float] = {}

    def report(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        losses[epoch] = loss

    method = quick(loss=loss, rows=10, minimum_steps=120)
    method.train(lesson("a", count=64), method.start(tiny.description), tiny, report)
    assert losses[max(losses)] < 0.7 * losses[1]
