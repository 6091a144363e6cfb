"""A store that has learnt tasks by heads alone, before a server opens it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backbones import load
from benchmarks.stream import as_batch
from benchmarks.streams import StreamTask
from learner.build import build_learner
from learner.config import LearnerConfig
from prompt_store import Store


def teach(store_path: Path, backbone: str, tasks: Iterable[StreamTask]) -> list[int]:
    """Learn texts task by task; the version that is live after each."""
    store = Store.open(store_path)
    learner = build_learner(store, load(backbone, threads=1), LearnerConfig(method="frozen"))
    learner.start()
    versions = []
    for task in tasks:
        store.intake.accept(as_batch(task))
        while learner.step():
            pass
        versions.append(store.timeline().live or 0)
    return versions
