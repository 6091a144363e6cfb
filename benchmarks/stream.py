"""One stream learnt by one method, through the real intake, learner, gate and store."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from backbones import FloatArray, TrainableBackbone
from benchmarks.degraded import examine_degraded
from benchmarks.examiner import Examiner
from benchmarks.hindsight import as_json, look_back
from benchmarks.measures import (
    average_incremental_accuracy,
    backward_transfer,
    dataset_accuracy,
    feature_drift,
    final_accuracy,
    forgetting,
)
from benchmarks.streams import Stream, StreamTask
from learner.build import build_learner
from learner.config import LearnerConfig
from learner.content import ContentReader
from learner.events import Event
from prompt_store import Batch, Example, Kind, Store, batch_id, digest_of


@dataclass(frozen=True)
class Row:
    """The result of one stream, method and seed. Accuracies: fractions, None: no such measure."""

    stream: str
    method: str
    seed: int
    tasks: list[str]
    final_accuracy: float
    dataset_accuracy: float
    average_incremental_accuracy: float | None
    forgetting: float | None
    backward_transfer: float | None
    task_given_accuracy: float
    task_given_forgetting: float | None
    cpu_seconds_per_task: list[float]
    refresh_cpu_seconds_per_task: list[float]
    bytes_per_version: list[int]
    versions: int
    candidates_refused: int
    accuracy_matrix: list[list[float | None]] = field(repr=False)
    settings: dict[str, Any] = field(default_factory=dict)
    """What else the run was told, as `--json` needs it to tell runs apart."""
    hindsight: dict[str, Any] | None = None
    """With `--hindsight`: right and wrong decisions of the gate, by the test rows."""
    degraded: list[dict[str, Any]] | None = None
    """With `--degraded`: `DegradedMarks` of what is live at the end."""
    feature_drift: float | None = None
    """Mean of `measures.feature_drift` over the test rows of all tasks but the last."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_stream(
    stream: Stream,
    variant: str,
    backbone: TrainableBackbone,
    config: LearnerConfig,
    *,
    emit: Callable[[Event], None],
    examined: Callable[[int], None] = lambda rows: None,
    learnt: Callable[[StreamTask], None] = lambda task: None,
    hindsight: bool = False,
    degraded: bool = False,
) -> Row:
    """Learn a stream task by task in a store of its own and examine what is live after each.

    hindsight: at the end, also judge every candidate by the test rows
    degraded: at the end, also examine what is live on test images made worse
    """
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        store = Store.open(folder)
        learner = build_learner(store, backbone, config, emit=emit)
        learner.start()
        reader, examiner = ContentReader(store.blobs), Examiner(backbone, examined)
        unnamed, named = _matrix(stream), _matrix(stream)
        sizes, cpu = [_size(folder)], []
        features: list[FloatArray] = []
        for j, task in enumerate(stream.tasks):
            store.intake.accept(as_batch(task, store.blobs.put))
            started = time.process_time()
            while learner.step():
                pass
            cpu.append(time.process_time() - started)
            sizes.append(_size(folder))
            content = reader.read(store.manifest(store.timeline().live or 0))
            marks = examiner.examine(content, stream.tasks[: j + 1])
            unnamed[: j + 1, j] = list(marks.unnamed.values())
            named[: j + 1, j] = list(marks.named.values())
            features.append(examiner.features(content, task))
            learnt(task)
        drifts = [
            feature_drift(learnt_as, examiner.features(content, task))
            for task, learnt_as in zip(stream.tasks[:-1], features[:-1], strict=True)
        ]
        row = _row(stream, variant, store, unnamed, named, cpu, sizes)
        row = replace(row, feature_drift=float(np.mean(drifts)) if drifts else None)
        if hindsight:
            verdicts = look_back(store, examiner, stream.tasks)
            row = replace(row, hindsight=as_json(verdicts))
        if degraded:
            row = replace(row, degraded=examine_degraded(stream, content, examiner))
        return row


def as_batch(task: StreamTask, keep_image: Callable[[bytes], str] = digest_of) -> Batch:
    """A stream's task as one POST would carry it.

    keep_image: stores an image's bytes, returns their digest; a batch for an intake needs
        `Blobs.put`
    """
    examples = tuple(
        Example(
            id=str(i),
            label=one.label,
            text=one.input.text,
            text_pair=one.text_pair,
            image=None if one.image is None else keep_image(one.image),
        )
        for i, one in enumerate(task.train)
    )
    body = "".join(f"{e.label}\n{e.image or e.text}\n{e.text_pair or ''}\n" for e in examples)
    return Batch(
        id=batch_id(),
        task=task.name,
        received_at=datetime.now(UTC),
        body_digest=sha256(body.encode()).hexdigest(),
        examples=examples,
    )


def _row(
    stream: Stream,
    variant: str,
    store: Store,
    unnamed: np.ndarray[Any, np.dtype[np.float64]],
    named: np.ndarray[Any, np.dtype[np.float64]],
    cpu: list[float],
    sizes: list[int],
) -> Row:
    manifests = [store.manifest(n) for n in range(1, store.timeline().head + 1)]
    learnt = [m for m in manifests if m.kind is Kind.REFRESH and m.batches]
    return Row(
        stream=stream.name,
        method=variant,
        seed=stream.seed,
        tasks=[task.name for task in stream.tasks],
        final_accuracy=final_accuracy(unnamed),
        dataset_accuracy=dataset_accuracy(unnamed, [task.dataset for task in stream.tasks]),
        average_incremental_accuracy=average_incremental_accuracy(unnamed),
        forgetting=forgetting(unnamed),
        backward_transfer=backward_transfer(unnamed),
        task_given_accuracy=final_accuracy(named),
        task_given_forgetting=forgetting(named),
        cpu_seconds_per_task=[round(seconds, 3) for seconds in cpu],
        refresh_cpu_seconds_per_task=[
            round(float(m.metrics["refresh_cpu_seconds"]), 3) for m in learnt
        ],
        bytes_per_version=[int(after - before) for before, after in pairwise(sizes)],
        versions=sum(m.kind.goes_live for m in manifests),
        candidates_refused=sum(
            m.kind is Kind.CANDIDATE and not (m.gate or {}).get("accepted") for m in manifests
        ),
        accuracy_matrix=[[None if np.isnan(a) else float(a) for a in row] for row in unnamed],
    )


def _matrix(stream: Stream) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.full((len(stream.tasks), len(stream.tasks)), np.nan)


def _size(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
