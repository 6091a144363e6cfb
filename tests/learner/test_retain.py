"""How much is kept of what was learnt, and what is done where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from backbones.text.backbone import TorchTextBackbone
from learner.archive import Archive
from learner.config import LearnerConfig
from learner.expression import drift_map
from learner.knowledge import Knowledge
from learner.methods.config import AutoConfig
from prompt_store import Store
from tests.learner.conftest import MakeLearner, batch, quick, run_dry

SHORT = AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2)


def known(store: Store) -> Knowledge:
    return Archive(store.blobs).read(store.manifest(store.timeline().live or 0))


def test_all_keeps_every_example(store: Store, learner_on: MakeLearner) -> None:
    learner = learner_on(store, quick(method="frozen", retain="all", keep_per_class=4))
    store.intake.accept(batch("mail", ["refund", "order"], rows=9))
    run_dry(learner)
    assert len(known(store).tasks["mail"].examples.rows) == 18


@pytest.mark.parametrize("method", ["frozen", "auto"])
def test_none_keeps_statistics_alone_once_the_prompt_is_decided(
    method: str, store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, quick(gate="open", method=method, retain="none", auto=SHORT))
    store.intake.accept(batch("mail", ["refund", "order"]))
    run_dry(learner)
    store.intake.accept(batch("bank", ["card", "loan"]))
    run_dry(learner)
    (domain,) = known(store).domains
    assert domain.statistics is not None
    assert domain.statistics.total == 32
    assert all(not task.examples.rows for task in known(store).tasks.values())
    assert domain.head is not None
    assert domain.head.classes == 4
    assert (domain.prompt is not None) == (method == "auto")


def test_examples_of_an_undecided_prompt_stay_until_it_is_decided(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="closed", method="auto", retain="none", auto=SHORT))
    store.intake.accept(batch("mail", ["refund", "order"]))
    assert learner.step()
    assert len(known(store).tasks["mail"].examples.rows) == 16


def test_forgetting_without_examples_leaves_the_others_counts_and_means(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(method="frozen", retain="none"))
    for one in (batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"])):
        store.intake.accept(one)
        run_dry(learner)
    before = known(store).domains[0].statistics
    store.erasures.ask("mail", after=store.timeline().head)
    run_dry(learner)
    (domain,) = known(store).domains
    assert domain.statistics is not None
    assert before is not None
    assert domain.statistics.classes == ("bank/card", "bank/loan")
    np.testing.assert_allclose(
        domain.statistics.means, before.select(["bank/card", "bank/loan"]).means, atol=1e-12
    )


def test_routing_needs_examples() -> None:
    with pytest.raises(ValidationError, match="retain='none' keeps none"):
        LearnerConfig(retain="none", domains="found")
    assert not LearnerConfig(retain="none").routes


def test_a_drift_map_finds_a_shift_and_turns_where_features_spread() -> None:
    draw = np.random.default_rng(0)
    spread = np.array([10.0, 10.0, 1.0, 0.1, 0.1, 0.1])
    before = (spread * draw.normal(size=(400, 6))).astype(np.float32)
    turn = np.eye(6) + 0.2 * draw.normal(size=(6, 6))
    after = (before @ turn + 0.5).astype(np.float32)
    matrix, offset = drift_map(before, after)
    np.testing.assert_allclose(before.mean(axis=0) @ matrix + offset, after.mean(axis=0), atol=1e-4)
    found = (matrix - np.eye(6)) / (turn - np.eye(6))  # the share of it that is followed
    assert (found[:2] > 0.7).all()
    assert (np.abs(found[3:]) < 0.05).all()


def test_a_drift_map_without_rows_moves_nothing() -> None:
    matrix, offset = drift_map(np.zeros((0, 6), np.float32), np.zeros((0, 6), np.float32))
    np.testing.assert_array_equal(matrix, np.eye(6))
    np.testing.assert_array_equal(offset, np.zeros(6))
