"""Knowledge to blobs and back. What did not change since the last version is not written again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from backbones import FloatArray
from learner import content
from learner.content import ContentReader
from learner.examples import TaskExamples
from learner.knowledge import Knowledge, TaskKnowledge, order_of_tasks
from learner.methods.base import SNAPSHOT, MethodState
from learner.statistics import ClassStatistics
from prompt_store import Blobs, Manifest

EXAMPLES = "examples/"
FEATURES = "features/"
STATISTICS = "statistics"
METHOD = "method/"

Identity = tuple[int, ...]


class Archive:
    """Writes and reads knowledge; remembers the digests of what it wrote last."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._reader = ContentReader(blobs)
        self._written: dict[Identity, tuple[Any, str]] = {}
        self._snapshots: dict[Identity, tuple[Any, str]] = {}

    def write(self, knowledge: Knowledge) -> dict[str, str]:
        """Store everything a version of this knowledge names; returns digests by role."""
        before, self._written = self._written, {}
        put = _Once(before, self._written)
        roles: dict[str, str] = {}
        for name, task in knowledge.tasks.items():
            roles |= self._write_task(name, task, put)
        if knowledge.aggregate is not None:
            roles |= content.write_prefix(self._blobs, content.AGGREGATE, knowledge.aggregate)
        if knowledge.flat is not None:
            roles |= content.write_head(self._blobs, content.FLAT_HEAD, knowledge.flat)
        if knowledge.novelty is not None:
            roles |= content.write_novelty(self._blobs, knowledge.novelty)
        if knowledge.statistics is not None:
            statistics = knowledge.statistics
            roles[STATISTICS] = self._blobs.put_tensors(statistics.tensors(), statistics.metadata())
        return roles

    def _write_task(self, name: str, task: TaskKnowledge, put: _Once) -> dict[str, str]:
        roles = {
            EXAMPLES + name: put(task.examples, lambda: self._blobs.put(task.examples.to_bytes()))
        }
        if task.features is not None:
            roles[FEATURES + name] = put(
                (task.features, task.prompted),
                lambda: self._blobs.put_tensors(_feature_tensors(task)),
            )
        if task.prompt is not None and task.head is not None:
            prompt, head = task.prompt, task.head
            roles |= content.write_prefix(self._blobs, content.TASK_PREFIX + name, prompt)
            roles |= content.write_head(self._blobs, content.TASK_HEAD + name, head)
        return roles

    def read(self, manifest: Manifest) -> Knowledge:
        """The knowledge a version was published from."""
        served = self._reader.read(manifest)
        knowledge = Knowledge(
            aggregate=served.bank.prefix(0)
            if served.bank is not None and content.AGGREGATE in manifest.blobs
            else None,
            statistics=self._read_statistics(manifest),
            flat=served.flat,
            novelty=served.novelty,
        )
        for name in order_of_tasks(manifest.labels):
            task = self._read_task(name, manifest)
            if name in served.rows and served.bank is not None:
                prompt = served.bank.prefix(served.rows[name])
                task = replace(task, prompt=prompt, head=served.task_heads[name])
            knowledge = knowledge.with_task(name, task)
        return knowledge

    def _read_task(self, name: str, manifest: Manifest) -> TaskKnowledge:
        examples = TaskExamples.from_bytes(self._blobs.get(manifest.blobs[EXAMPLES + name]))
        if FEATURES + name not in manifest.blobs:
            return TaskKnowledge(examples, None)
        tensors, _ = self._blobs.get_tensors(manifest.blobs[FEATURES + name])
        return TaskKnowledge(examples, tensors["aggregate"], prompted=tensors.get("prompted"))

    def _read_statistics(self, manifest: Manifest) -> ClassStatistics | None:
        if STATISTICS not in manifest.blobs:
            return None
        tensors, metadata = self._blobs.get_tensors(manifest.blobs[STATISTICS])
        return ClassStatistics.load(tensors, metadata)

    def write_method(self, state: MethodState) -> dict[str, str]:
        """Store a method's state; returns digests by role."""
        before, self._snapshots = self._snapshots, {}
        put = _Once(before, self._snapshots)
        roles: dict[str, str] = {}
        for role, part in state.parts().items():
            snapshot = state.kept.get(role.removeprefix(SNAPSHOT))
            write = partial(self._blobs.put_tensors, *part)
            roles[METHOD + role] = write() if snapshot is None else put(snapshot, write)
        return roles

    def read_method(self, manifest: Manifest) -> MethodState | None:
        """The method's state a version was trained to, None where it names none."""
        roles = {
            r.removeprefix(METHOD): d for r, d in manifest.blobs.items() if r.startswith(METHOD)
        }
        if not roles:
            return None
        return MethodState.assemble({r: self._blobs.get_tensors(d) for r, d in roles.items()})


class _Once:
    """Calls `write` unless the very same objects were written last time."""

    def __init__(
        self, before: dict[Identity, tuple[Any, str]], written: dict[Identity, tuple[Any, str]]
    ) -> None:
        self._before, self._written = before, written

    def __call__(self, key: Any, write: Callable[[], str]) -> str:
        parts = key if isinstance(key, tuple) else (key,)
        identity = tuple(id(part) for part in parts)
        known = self._before.get(identity)
        digest = known[1] if known is not None else write()
        self._written[identity] = (parts, digest)
        return digest


def _feature_tensors(task: TaskKnowledge) -> dict[str, FloatArray]:
    tensors = {"aggregate": task.seen}
    if task.prompted is not None:
        tensors["prompted"] = task.prompted
    return tensors
