"""The bound on prompts: beyond it, the two that act most alike become one.

The one is distilled on kept examples of both domains (consolidation, METHODS §5.5), so the domains
stay apart for the router and keep heads of their own; they only share what they are seen under.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learner.config import LearnerConfig
from learner.consolidation import consolidate, most_alike
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample, spread_over
from learner.expression import express
from learner.knowledge import Knowledge
from learner.methods.base import Progress

TEACHING_ROWS = 256
"""Kept examples that one prompt is distilled on, at most."""
COMPARED_ROWS = 64
"""Kept examples that prompts are compared on, of all prompted domains together."""


def within_bound(
    knowledge: Knowledge, encoder: ExampleEncoder, config: LearnerConfig, report: Progress
) -> Knowledge:
    """Knowledge with at most `config.prompts` different prompts; heads are left to be fitted.

    Raises what `report` raises.
    """
    while len(prompts := _different(knowledge)) > config.prompts:
        first, second = _alike(prompts, encoder, knowledge)
        knowledge = _merged(knowledge, prompts[first] + prompts[second], encoder, config, report)
    return knowledge


def _different(knowledge: Knowledge) -> list[list[Domain]]:
    """The domains of each prompt, in order."""
    shared: dict[str, list[Domain]] = {}
    for domain in knowledge.domains:
        if domain.prompt is not None:
            shared.setdefault(domain.prompt.digest, []).append(domain)
    return list(shared.values())


def _alike(
    prompts: Sequence[Sequence[Domain]], encoder: ExampleEncoder, knowledge: Knowledge
) -> tuple[int, int]:
    rows = _sample(knowledge, [d for shared in prompts for d in shared], COMPARED_ROWS)
    seen = [
        encoder.upper(rows, shared[0].prompt)[:, -1]
        for shared in prompts
        if shared[0].prompt is not None
    ]
    return most_alike(np.stack(seen))


def _merged(
    knowledge: Knowledge,
    domains: Sequence[Domain],
    encoder: ExampleEncoder,
    config: LearnerConfig,
    report: Progress,
) -> Knowledge:
    """These domains under one prompt, which sees their examples as their own did."""
    share = TEACHING_ROWS // len(domains)
    rows: list[KeptExample] = []
    features = []
    for domain in domains:
        own = _sample(knowledge, [domain], share)
        assert domain.prompt is not None, "only prompted domains are merged"
        rows += own
        features.append(encoder.upper(own, domain.prompt)[:, -1])
    prompt = consolidate(
        encoder.backbone,
        encoder.lower(rows),
        np.concatenate(features),
        2 * config.auto.rows,
        seed=config.seed,
        report=report,
    )
    taught = tuple(dict.fromkeys(task for domain in domains for task in domain.taught))
    for domain in domains:
        knowledge = express(knowledge, replace(domain, taught=taught), prompt, encoder)
    return knowledge


def _sample(knowledge: Knowledge, domains: Sequence[Domain], budget: int) -> list[KeptExample]:
    """Kept examples spread evenly over the domains' tasks."""
    by_task = [knowledge.tasks[task].examples.rows for domain in domains for task in domain.tasks]
    return spread_over(by_task, budget)
