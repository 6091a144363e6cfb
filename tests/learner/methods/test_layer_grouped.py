"""Layer-grouped prompts on a tiny random BERT: groups, generator, position, combination."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from backbones import Description
from backbones.text.backbone import TorchTextBackbone
from learner.methods.base import Lesson, MethodState
from learner.methods.combination import combine, encode_matched, matched_weights, mean
from learner.methods.config import IndependentConfig, LayerGroupedConfig
from learner.methods.generator import DOWN, UP
from learner.methods.group_prompt import ROOT, GroupPrompt
from learner.methods.layer_grouped import LayerGrouped
from learner.methods.layers import group_of_layers, position_term
from learner.rows import Rows, fresh
from tests.learner.methods.learning import learn, same, silent

MakeLesson = Callable[..., Lesson]
QUICK = {"rows": 3, "epochs": 1, "minimum_steps": 3, "generator_width": 8}


def quick(**options: object) -> LayerGrouped:
    """The method in three steps a task."""
    return LayerGrouped(LayerGroupedConfig.model_validate({**QUICK, **options}))


def distance_of_layers(
    rows: Rows, term: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> float:
    """How far the two layers' prompts are apart beyond the position term."""
    bare = rows.values - term
    return float(np.abs(bare[0] - bare[1]).max())


@pytest.mark.parametrize(
    ("layers", "groups", "expected"),
    [
        (6, 1, [0, 0, 0, 0, 0, 0]),
        (6, 2, [0, 0, 0, 1, 1, 1]),
        (3, 2, [0, 0, 1]),
        (5, 3, [0, 0, 1, 1, 2]),
        (3, 3, [0, 1, 2]),
    ],
)
def test_groups_are_contiguous_and_even(layers: int, groups: int, expected: list[int]) -> None:
    assert group_of_layers(layers, groups).tolist() == expected


def test_more_groups_than_layers_are_refused_at_the_start(tiny: TorchTextBackbone) -> None:
    with pytest.raises(ValueError, match="groups=3, but the backbone prompts 2 layers: set groups"):
        quick(groups=3).start(tiny.description)
    assert quick(groups=None).start(tiny.description).aggregate.length == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"groups": 0}, "greater than or equal to 1"),
        ({"form": "tokens"}, "'keys_values'"),
        ({"combination": "product"}, "'sum', 'mean' or 'matched'"),
        ({"position": -1.0}, "greater than or equal to 0"),
        ({"temperature": 0.0}, "greater than 0"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        LayerGroupedConfig.model_validate(options)


def test_independent_prompts_have_no_groups_to_choose() -> None:
    with pytest.raises(ValueError, match="groups"):
        IndependentConfig.model_validate({"groups": 2})
    with pytest.raises(ValueError, match="position"):
        IndependentConfig.model_validate({"position": 0.1})


def test_position_is_sinusoidal_in_the_layer_index(tiny: TorchTextBackbone) -> None:
    description = tiny.description
    term = position_term(description, 2.0)
    assert term.shape == (2, 1, description.heads, 1, description.head_dim)
    flat = term.reshape(2, description.width)
    for row, layer in enumerate((2, 3)):
        assert flat[row, 0] == pytest.approx(2 * np.sin(layer))
        assert flat[row, 1] == pytest.approx(2 * np.cos(layer))
        slowest = layer / 10000 ** ((description.width - 2) / description.width)
        assert flat[row, -2] == pytest.approx(2 * np.sin(slowest), abs=1e-6)
    assert not position_term(description, 0.0).any()


def test_training_starts_at_the_root_in_every_layer(tiny: TorchTextBackbone) -> None:
    root = np.random.default_rng(0).normal(size=(1, 2, 3, 32)).astype(np.float32)
    down = np.ones((2, 32, 8), dtype=np.float32)
    start = {ROOT: root, DOWN: down, UP: np.zeros((2, 8, 32), dtype=np.float32)}
    term = position_term(tiny.description, 0.1)
    rows = GroupPrompt(start, group_of_layers(2, 2), term, quick().config).rows().rows()
    for layer in range(2):
        flat = (rows.values[layer] - term[layer]).transpose(0, 2, 1, 3).reshape(2, 3, 32)
        np.testing.assert_allclose(flat, root[0], atol=1e-6)
    assert not rows.bias.any()


@pytest.mark.parametrize("generator", [True, False])
def test_layers_of_a_group_differ_by_their_position_alone(
    generator: bool, tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    term = position_term(tiny.description, 0.1)
    (one,) = learn(quick(groups=1, generator=generator), tiny, [lesson("a")])
    (two,) = learn(quick(groups=2, generator=generator), tiny, [lesson("a")])
    assert distance_of_layers(one.served, term) < 1e-5
    assert distance_of_layers(two.served, term) > 1e-3


def test_without_position_the_layers_of_a_group_are_equal(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    (state,) = learn(quick(groups=1, position=0.0), tiny, [lesson("a")])
    np.testing.assert_array_equal(state.served.values[0], state.served.values[1])


def test_root_and_generator_start_from_those_of_the_task_before(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    first, second = learn(quick(), tiny, [lesson("a"), lesson("bb")])
    assert set(first.extra) == {ROOT, DOWN, UP}
    assert (first.notes["root"], second.notes["root"]) == ("fresh", "warm")
    still = quick(learning_rate=1e-7, generator_rate=1e-7)
    after = still.train(lesson("bb"), first, tiny, silent)
    np.testing.assert_allclose(after.extra[ROOT], first.extra[ROOT], atol=1e-5)
    np.testing.assert_allclose(after.extra[UP], first.extra[UP], atol=1e-5)
    np.testing.assert_allclose(after.kept["bb"].values, first.kept["a"].values, atol=1e-4)
    cold = quick(warm_start=False).train(lesson("bb"), first, tiny, silent)
    assert cold.notes["root"] == "fresh"
    assert np.abs(cold.extra[ROOT] - first.extra[ROOT]).max() > 0.1


def test_a_root_of_another_shape_is_not_gone_on_from(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    (state,) = learn(quick(), tiny, [lesson("a")])
    longer = quick(rows=4).train(lesson("bb"), state, tiny, silent)
    assert longer.notes["root"] == "fresh"
    assert longer.notes["combined"] == "1 of 2"
    assert len(longer.served) == 4
    with pytest.raises(ValueError, match="summed so far have 3: set rows=3"):
        quick(rows=4, combination="sum").train(lesson("bb"), state, tiny, silent)


@pytest.mark.parametrize("combination", ["mean", "matched"])
def test_the_aggregate_is_the_mean_of_prompts_trained_alone(
    combination: str, tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    tasks = [lesson(task) for task in ("a", "bb", "ccc")]
    states = learn(quick(combination=combination), tiny, tasks)
    kept = list(states[-1].kept.values())
    expected = np.mean([rows.values for rows in kept], axis=0)
    np.testing.assert_allclose(states[-1].served.values, expected, atol=1e-6)
    for before, after in pairwise(states):
        assert all(same(after.kept[task], rows) for task, rows in before.kept.items())


def test_forgetting_a_task_takes_it_out_of_the_mean(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method = quick()
    _, state = learn(method, tiny, [lesson("a"), lesson("bb")])
    after = method.train(lesson("ccc"), state.without("a"), tiny, silent)
    kept = [after.kept["bb"].values, after.kept["ccc"].values]
    np.testing.assert_allclose(after.served.values, np.mean(kept, axis=0), atol=1e-6)


def test_a_sum_is_trained_as_it_is_served(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    method = quick(combination="sum", generator=False, groups=None)
    first, second = learn(method, tiny, [lesson("a"), lesson("bb")])
    assert same(second.served, second.kept["bb"])
    assert same(second.kept["a"], first.served)
    added = second.served.values - first.served.values
    root = second.extra[ROOT].reshape(2, 2, 3, 4, 8).transpose(0, 1, 3, 2, 4)
    np.testing.assert_allclose(added, root, atol=1e-6)


def test_the_position_counts_once_in_every_combination(tiny: TorchTextBackbone) -> None:
    term = np.broadcast_to(position_term(tiny.description, 3.0), (2, 2, 4, 3, 8))
    only_position = fresh(np.ascontiguousarray(term))
    combined = [
        mean([only_position] * 3),
        *combine([only_position] * 3, np.array([[0.2, 0.3, 0.5]], np.float32)),
    ]
    for rows in combined:
        np.testing.assert_allclose(rows.values, term, atol=1e-5)


def test_matched_weights_prefer_the_nearest_task() -> None:
    means = np.array([[2.0, 0.0], [0.0, 0.5]], np.float32)
    features = np.array([[1.0, 0.1], [0.0, 7.0], [3.0, 3.0]], np.float32)
    sharp = matched_weights(features, means, 0.01)
    np.testing.assert_allclose(sharp, np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), atol=1e-5)
    soft = matched_weights(features, means, 1.0)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert 0.5 < soft[0, 0] < sharp[0, 0]


def test_weights_must_count_the_prompts() -> None:
    rows = fresh(np.zeros((1, 2, 1, 2, 4), np.float32))
    with pytest.raises(ValueError, match="for 2 prompts"):
        combine([rows, rows], np.ones((5, 3), np.float32))
    with pytest.raises(ValueError, match="cannot be combined"):
        mean([])
    with pytest.raises(ValueError, match="cannot be combined"):
        mean([rows, fresh(np.zeros((1, 2, 1, 3, 4), np.float32))])


def test_matched_prompts_are_evaluated_in_a_second_pass(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    (_, state) = learn(quick(combination="matched"), tiny, [lesson("a"), lesson("bb")])
    kept = [state.kept["a"], state.kept["bb"]]
    inputs = lesson("c", count=70).inputs
    hard = np.eye(2, dtype=np.float32)[np.arange(70) % 2]
    features = encode_matched(tiny, inputs, kept, hard)
    lower = tiny.lower(inputs)
    for task, rows in enumerate(kept):
        alone = tiny.encode_lower(lower, rows.to_prefix())[task::2]
        np.testing.assert_allclose(features[task::2], alone, atol=1e-5)
    with pytest.raises(ValueError, match="1 rows of weights for 70 inputs"):
        encode_matched(tiny, inputs, kept, hard[:1])


def test_a_stored_state_goes_on_alike(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    method = quick()
    state = learn(method, tiny, [lesson("bb"), lesson("a")])[-1]
    parts = state.parts()
    loaded = MethodState.assemble({role: parts[role] for role in sorted(parts)})
    after = [method.train(lesson("ccc"), s, tiny, silent) for s in (state, loaded)]
    assert same(*(s.served for s in after))


def test_keys_may_be_narrower_than_the_model() -> None:
    description = Description("t5", "text", 4, 4, 32, 6, 64, 2, "f")
    assert position_term(description, 0.1).shape == (2, 1, 4, 1, 6)
    wide = Description("bert", "text", 4, 4, 32, 8, 64, 2, "f")
    assert position_term(wide, 0.1).shape == (2, 1, 4, 1, 8)
