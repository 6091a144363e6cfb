"""What happens to prompts, rows and statistics where tasks change their domain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backbones import Prefix
from backbones.checks import random_prefix
from backbones.text.backbone import TorchTextBackbone
from learner.arrangement import arrange
from learner.config import LearnerConfig
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.expression import express
from learner.knowledge import Knowledge
from learner.refresh import learn_batch, refit
from learner.statistics import ClassStatistics
from learner.training import parted
from tests.learner.conftest import batch

TASKS = {"mail": ["refund", "order"], "bank": ["card", "loan"], "news": ["sport", "votes"]}
ROWS = {"mail": 4, "bank": 8, "news": 2}


def config(**declared: str) -> LearnerConfig:
    return LearnerConfig(declared_domains=declared)


APART = config(mail="a", bank="b", news="c")


@pytest.fixture
def encoder(tiny: TorchTextBackbone) -> ExampleEncoder:
    return ExampleEncoder(tiny)


def learnt(encoder: ExampleEncoder, chosen: LearnerConfig, *names: str) -> Knowledge:
    knowledge = Knowledge()
    for name in names:
        knowledge = learn_batch(knowledge, batch(name, TASKS[name], ROWS[name]), encoder)
    return refit(knowledge, chosen, encoder)


def under(knowledge: Knowledge, task: str, prompt: Prefix, encoder: ExampleEncoder) -> Knowledge:
    return express(knowledge, knowledge.domain_of(task), prompt, encoder)


def rearranged(knowledge: Knowledge, chosen: LearnerConfig, encoder: ExampleEncoder) -> Knowledge:
    """Arranged as with a new task: one task leaves its place first."""
    grown = learn_batch(knowledge, batch("extra", ["red", "blue"], 2), encoder)
    return arrange(grown, chosen, encoder)


def recomputed(knowledge: Knowledge, domain: Domain, encoder: ExampleEncoder) -> ClassStatistics:
    """From texts, with nothing remembered."""
    afresh = ExampleEncoder(encoder.backbone)
    parts = []
    for name in domain.tasks:
        rows = knowledge.tasks[name].examples.rows
        seen = afresh.plain(rows).features
        if domain.prompt is not None:
            seen = afresh.upper(rows, domain.prompt)[:, -1]
        parts.append(seen)
    labels = knowledge.labels_of(domain.tasks)
    return ClassStatistics.of(np.concatenate(parts), knowledge.targets(domain), labels)


def test_a_task_that_moves_is_seen_under_the_prompt_it_comes_under(
    tiny: TorchTextBackbone, encoder: ExampleEncoder
) -> None:
    first, second = (random_prefix(tiny.description, 2, seed=s) for s in (1, 2))
    knowledge = learnt(encoder, config(mail="a", bank="b", news="a"), "mail", "bank", "news")
    knowledge = under(under(knowledge, "mail", first, encoder), "bank", second, encoder)
    moved = rearranged(knowledge, config(mail="a", bank="b", news="b", extra="c"), encoder)
    assert [d.tasks for d in moved.domains] == [("mail",), ("bank", "news"), ("extra",)]
    for task, prompt in (("mail", first), ("bank", second), ("news", second)):
        expected = ExampleEncoder(tiny).upper(moved.tasks[task].examples.rows, prompt)
        upper = moved.tasks[task].upper
        assert upper is not None
        np.testing.assert_allclose(upper, expected, atol=1e-5)
    assert moved.tasks["extra"].upper is None


def test_statistics_of_every_domain_equal_those_from_scratch(
    tiny: TorchTextBackbone, encoder: ExampleEncoder
) -> None:
    prompts = [random_prefix(tiny.description, 2, seed=s) for s in (1, 2)]
    knowledge = learnt(encoder, config(mail="a", bank="b", news="a"), "mail", "bank", "news")
    for task, prompt in zip(("mail", "bank"), prompts, strict=True):
        knowledge = under(knowledge, task, prompt, encoder)
    grown = config(mail="a", bank="b", news="b", extra="b")
    for domain in rearranged(knowledge, grown, encoder).domains:
        expected = recomputed(rearranged(knowledge, grown, encoder), domain, encoder)
        assert domain.statistics is not None
        assert set(domain.statistics.classes) == set(expected.classes)
        assert domain.statistics.total == expected.total
        np.testing.assert_allclose(domain.statistics.scatter, expected.scatter, atol=1e-4)


def test_a_merger_keeps_the_prompt_of_most_rows(
    tiny: TorchTextBackbone, encoder: ExampleEncoder
) -> None:
    knowledge = learnt(encoder, APART, "mail", "bank", "news")
    prompts = {
        task: random_prefix(tiny.description, 2, seed=seed)
        for seed, task in enumerate(("mail", "bank"))
    }
    for task, prompt in prompts.items():
        knowledge = under(knowledge, task, prompt, encoder)
    one = rearranged(knowledge, config(mail="x", bank="x", news="x", extra="x"), encoder)
    (domain,) = one.domains
    assert domain.prompt is prompts["bank"]
    assert one.router is None
    assert one.is_complete


def test_one_with_a_prompt_is_inherited_before_one_with_more_rows(
    tiny: TorchTextBackbone, encoder: ExampleEncoder
) -> None:
    prompt = random_prefix(tiny.description, 2, seed=1)
    knowledge = under(learnt(encoder, APART, "mail", "bank"), "mail", prompt, encoder)
    one = rearranged(knowledge, config(mail="x", bank="x", extra="y"), encoder)
    assert one.domain_of("bank").prompt is prompt


def test_domains_that_keep_their_tasks_are_the_same_objects_and_are_not_parted(
    encoder: ExampleEncoder,
) -> None:
    knowledge = learnt(encoder, config(mail="a", bank="b", news="b"), "mail", "bank", "news")
    after = rearranged(knowledge, config(mail="a", bank="b", news="c", extra="d"), encoder)
    assert after.domain_of("mail") is knowledge.domain_of("mail")
    assert parted(knowledge, after) == ["bank", "news"]
    assert after.router is not None
    assert after.router.weights.shape[2] == 4


def test_where_nothing_is_routed_there_is_one_domain(encoder: ExampleEncoder) -> None:
    knowledge = learnt(encoder, replace_domains(APART), "mail", "bank")
    assert [d.name for d in knowledge.domains] == ["all"]
    assert knowledge.router is None


def replace_domains(chosen: LearnerConfig) -> LearnerConfig:
    return chosen.model_copy(update={"domains": "one"})


def test_replacing_a_head_needs_no_new_arrangement(encoder: ExampleEncoder) -> None:
    knowledge = learnt(encoder, APART, "mail", "bank")
    again = arrange(replace(knowledge, router=None), APART, encoder)
    assert all(a is b for a, b in zip(again.domains, knowledge.domains, strict=True))
    assert again.router is not None
