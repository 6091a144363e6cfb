"""Knowledge to blobs and back. What did not change since the last version is not written again."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from backbones import FloatArray
from learner import content
from learner.content import Content, ContentReader, ServedDomain
from learner.domain import Domain
from learner.examples import TaskExamples
from learner.knowledge import Knowledge, TaskKnowledge
from learner.methods.base import SNAPSHOT, MethodState
from learner.sight import Seen
from learner.statistics import ClassStatistics
from prompt_store import Blobs, Manifest

EXAMPLES = "examples/"
FEATURES = "features/"
PROMPTED = "prompted/"
STATISTICS = "statistics/"
METHOD = "method/"
TAUGHT = "taught"

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
        for domain in knowledge.domains:
            roles |= self._write_domain(domain, put)
        if knowledge.router is not None:
            roles |= content.write_router(self._blobs, knowledge.router)
        return roles

    def _write_task(self, name: str, task: TaskKnowledge, put: _Once) -> dict[str, str]:
        blobs = self._blobs
        roles = {
            EXAMPLES + name: put(task.examples, lambda: blobs.put(task.examples.to_bytes())),
            FEATURES + name: put(task.plain, lambda: blobs.put_tensors(_seen_tensors(task.plain))),
        }
        prompted = _prompted_tensors(task)
        if prompted:
            key = (task.upper, task.own)
            roles[PROMPTED + name] = put(key, lambda: blobs.put_tensors(prompted))
        if task.prompt is not None and task.head is not None:
            prompt, head = task.prompt, task.head
            roles |= content.write_prefix(blobs, content.TASK_PREFIX + name, prompt)
            roles |= content.write_head(blobs, content.TASK_HEAD + name, head)
        return roles

    def _write_domain(self, domain: Domain, put: _Once) -> dict[str, str]:
        blobs, name = self._blobs, domain.name
        assert domain.head is not None, "a version's heads are fitted"
        roles = content.write_head(blobs, content.DOMAIN_HEAD + name, domain.head)
        if domain.prompt is not None:
            taught = {TAUGHT: json.dumps([domain.taught, domain.cooling])}
            role = content.DOMAIN_PREFIX + name
            roles[role] = blobs.put_tensors(domain.prompt.tensors(), taught)
        if domain.novelty is not None:
            roles |= content.write_novelty(blobs, content.NOVELTY + name, domain.novelty)
        statistics = domain.statistics
        if statistics is not None:
            roles[STATISTICS + name] = put(
                statistics,
                lambda: blobs.put_tensors(statistics.tensors(), statistics.metadata()),
            )
        return roles

    def read(self, manifest: Manifest) -> Knowledge:
        """The knowledge a version was published from."""
        served = self._reader.read(manifest)
        tasks = {
            name: self._read_task(name, manifest, served)
            for name in content.tasks_of(manifest.labels)
        }
        domains = tuple(self._read_domain(domain, manifest) for domain in served.domains)
        return Knowledge(tasks, domains, served.router)

    def _read_task(self, name: str, manifest: Manifest, served: Content) -> TaskKnowledge:
        examples = TaskExamples.from_bytes(self._blobs.get(manifest.blobs[EXAMPLES + name]))
        seen, _ = self._blobs.get_tensors(manifest.blobs[FEATURES + name])
        prompted: dict[str, FloatArray] = {}
        if PROMPTED + name in manifest.blobs:
            prompted, _ = self._blobs.get_tensors(manifest.blobs[PROMPTED + name])
        return TaskKnowledge(
            examples,
            Seen(seen["states"], seen.get("apart")),
            upper=prompted.get("upper"),
            prompt=served.prefixes.get(name),
            own=prompted.get("own"),
            head=served.heads.get(name),
        )

    def _read_domain(self, served: ServedDomain, manifest: Manifest) -> Domain:
        return Domain(
            served.name,
            served.tasks,
            served.prefix,
            *self._read_taught(manifest.blobs.get(content.DOMAIN_PREFIX + served.name)),
            served.head,
            served.novelty,
            self._read_statistics(manifest.blobs.get(STATISTICS + served.name)),
        )

    def _read_taught(self, digest: str | None) -> tuple[tuple[str, ...], float | None]:
        """Who trained a domain's prompt, and the temperature that heads under it need."""
        if digest is None:
            return (), None
        _, metadata = self._blobs.get_tensors(digest)
        taught, cooling = json.loads(metadata[TAUGHT])
        return tuple(taught), cooling

    def _read_statistics(self, digest: str | None) -> ClassStatistics | None:
        if digest is None:
            return None
        tensors, metadata = self._blobs.get_tensors(digest)
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


def _seen_tensors(seen: Seen) -> dict[str, FloatArray]:
    tensors = {"states": seen.states}
    return tensors if seen.apart is None else {**tensors, "apart": seen.apart}


def _prompted_tensors(task: TaskKnowledge) -> dict[str, FloatArray]:
    found = {"upper": task.upper, "own": task.own}
    return {name: states for name, states in found.items() if states is not None}
