"""`perennial bench cost`: does the thirtieth task cost more than the third?

Small tasks are learnt one after the other. Compared are the CPU seconds of a training, and the time
of one request (preprocess, pass, head) against the versions as they were after an early and after
a late task, asked in turn so that noise of the machine hits both alike.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from backbones import Input, TrainableBackbone
from benchmarks.stream import as_batch
from benchmarks.streams import Stream
from learner.build import build_learner
from learner.config import LearnerConfig
from prompt_store import Kind, Manifest, Store
from serving.forward import ForwardPass, Slice, Work
from serving.precision import Engines
from serving.snapshot import Snapshot, SnapshotLoader

EARLY, LATE = 3, 30
WINDOW = 3
"""Trainings are compared as the median of so many around the task in question."""
ROUNDS = 300


@dataclass(frozen=True)
class CostResult:
    """One stream. Seconds of CPU a training, milliseconds a request."""

    stream: str
    seed: int
    training_cpu_seconds: list[float]
    refresh_cpu_seconds: list[float]
    training_early: float
    training_late: float
    training_ratio: float
    request_early_ms: float
    request_late_ms: float
    request_ratio: float

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_cost(
    stream: Stream, backbone: TrainableBackbone, config: LearnerConfig, say: Callable[[str], None]
) -> CostResult:
    """Learn the stream's tasks and compare task `EARLY` with task `LATE`."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        store = Store.open(folder)
        learner = build_learner(store, backbone, config)
        learner.start()
        live: list[int] = []
        for number, task in enumerate(stream.tasks[: LATE + 1], start=1):
            store.intake.accept(as_batch(task))
            while learner.step():
                pass
            live.append(store.timeline().live or 0)
            say(f"learnt task {number} of {min(len(stream.tasks), LATE + 1)}")
        training, refresh = _cpu_seconds(store)
        loader = SnapshotLoader(store, backbone)
        early, late = (loader.load(live[number - 1]) for number in (EARLY, LATE))
        texts = [example.text for example in stream.tasks[0].test]
        quick, slow = _request_seconds(backbone, early, late, texts)
    first, last = _around(training, EARLY), _around(training, LATE)
    return CostResult(
        stream=stream.name,
        seed=stream.seed,
        training_cpu_seconds=[round(seconds, 3) for seconds in training],
        refresh_cpu_seconds=[round(seconds, 3) for seconds in refresh],
        training_early=first,
        training_late=last,
        training_ratio=last / first,
        request_early_ms=1000 * quick,
        request_late_ms=1000 * slow,
        request_ratio=slow / quick,
    )


def _cpu_seconds(store: Store) -> tuple[list[float], list[float]]:
    manifests = [store.manifest(n) for n in range(1, store.timeline().head + 1)]
    trained = [m for m in manifests if m.kind in (Kind.TRAIN, Kind.CANDIDATE) and m.decided]
    refreshed = [m for m in manifests if m.kind is Kind.REFRESH and m.batches]
    return (
        [_metric(m, "train_cpu_seconds") for m in trained],
        [_metric(m, "refresh_cpu_seconds") for m in refreshed],
    )


def _metric(manifest: Manifest, name: str) -> float:
    return float(manifest.metrics[name])


def _around(seconds: Sequence[float], task: int) -> float:
    start = max(0, task - 1 - WINDOW // 2)
    return float(median(seconds[start : start + WINDOW]))


def _request_seconds(
    backbone: TrainableBackbone, early: Snapshot, late: Snapshot, texts: Sequence[str]
) -> tuple[float, float]:
    forward = ForwardPass(Engines(backbone))
    times: dict[int, list[float]] = {early.version: [], late.version: []}
    for i in range(ROUNDS):
        inputs = [Input(text=texts[i % len(texts)])]
        pair = (early, late) if i % 2 else (late, early)
        for snapshot in pair:
            started = time.perf_counter()
            work = Work(inputs, backbone.preprocess(inputs))
            forward([Slice(work, snapshot, np.arange(1))])
            times[snapshot.version].append(time.perf_counter() - started)
    return median(times[early.version]), median(times[late.version])
