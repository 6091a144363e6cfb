"""Configs check themselves, and their digest names every value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from learner.methods.config import FrozenConfig, PromptConfig, QTuningConfig, SequentialConfig


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"retention": 0.1, "shared_rows": 0}, "set shared_rows or retention=0"),
        ({"form": "tokens"}, "choose eviction='merge'"),
        ({"capacity": 1}, "greater than or equal to 2"),
        ({"rows": 0}, "greater than or equal to 1"),
        ({"eviction": "lru"}, "'fifo'"),
        ({"minimum_steps": 10, "maximum_steps": 5}, "above maximum_steps"),
        ({"learning_rte": 1.0}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        QTuningConfig.model_validate(options)


def test_the_digest_follows_every_value_and_the_class() -> None:
    digests = {
        FrozenConfig().digest(),
        SequentialConfig().digest(),
        PromptConfig().digest(),
        QTuningConfig().digest(),
        QTuningConfig(capacity=6).digest(),
    }
    assert len(digests) == 5
    assert QTuningConfig(capacity=5).digest() == QTuningConfig().digest()


@pytest.mark.parametrize(
    ("examples", "steps"), [(16, 96), (128, 96), (199, 156), (200, 104), (320, 160), (10**6, 2000)]
)
def test_steps_follow_the_examples(examples: int, steps: int) -> None:
    assert QTuningConfig().steps(examples) == steps


def test_many_classes_train_a_cosine_head() -> None:
    config = PromptConfig()
    assert config.crossfits(20)
    assert not config.crossfits(21)
    assert PromptConfig(loss="crossfit").crossfits(150)
    assert not PromptConfig(loss="cosine").crossfits(2)


def test_rates_and_scales_depend_on_the_form_unless_given() -> None:
    tokens = SequentialConfig(form="tokens")
    assert tokens.rate < SequentialConfig().rate == 0.1
    assert tokens.scale < SequentialConfig().scale == 0.1
    assert SequentialConfig(learning_rate=0.5, initial_scale=1.0).rate == 0.5
