"""The bound on prompts: domains come to share one, and keep heads of their own."""

from __future__ import annotations

import numpy as np

from learner.content import ContentReader
from learner.methods.config import AutoConfig
from prompt_store import Store
from tests.learner.conftest import MakeLearner, batch, quick, run_dry

SHORT = AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2)


def test_beyond_the_bound_two_domains_share_a_prompt(store: Store, learner_on: MakeLearner) -> None:
    names = ("mail", "bank", "home")
    config = quick(
        gate="open",
        method="auto",
        auto=SHORT,
        prompts=2,
        declared_domains={name: name for name in names},
    )
    learner = learner_on(store, config)
    for name in names:
        store.intake.accept(batch(name, [f"{name}-a", f"{name}-b"]))
        run_dry(learner)
    content = ContentReader(store.blobs).read(store.manifest(store.timeline().live or 0))
    prompts = [domain.prefix for domain in content.domains]
    assert [domain.tasks for domain in content.domains] == [(name,) for name in names]
    assert all(prompt is not None for prompt in prompts)
    different = {prompt.keys_values.tobytes() for prompt in prompts if prompt is not None}
    assert len(different) == 2
    lengths = sorted(prompt.length for prompt in prompts if prompt is not None)
    assert lengths == [2, 4, 4]
    heads = [domain.head.tensors()["0.weights"] for domain in content.domains]
    assert not np.array_equal(heads[0], heads[1])
