"""Where a learner stands: what is live, what is known there, and where its method goes on from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

from learner import spans
from learner.archive import METHOD, Archive
from learner.content import DOMAIN_PREFIX, TASK_PREFIX
from learner.events import Emit, Event
from learner.knowledge import Knowledge
from learner.methods.base import SNAPSHOT, MethodState
from learner.origin import check_backbone
from learner.publisher import Entry, Publisher, descends
from prompt_store import Batch, Kind, Manifest, MethodReference, Store, Timeline

log = logging.getLogger(__name__)

_EVENT_OF = {
    Kind.REFRESH: "refreshed",
    Kind.TRAIN: "published",
    Kind.FORGET: "published",
    Kind.CANDIDATE: "candidate",
}


PREFIXES = (DOMAIN_PREFIX, TASK_PREFIX)


class Standing:
    """Follows the log, and moves it forward by one learner's commits."""

    def __init__(
        self, store: Store, writer: str, backbone: str, method: MethodReference, emit: Emit
    ) -> None:
        self.archive = Archive(store.blobs)
        self.publisher = Publisher(store, writer, backbone, method)
        self.base: Manifest | None = None
        self.knowledge = Knowledge()
        self._store = store
        self._backbone = backbone
        self._method = method
        self._emit = emit
        self._state: tuple[int, MethodState | None] | None = None
        self._published: int | None = None
        self._origins: dict[str, dict[str, str]] = {}
        self._parents: dict[str, str] = {}

    def catch_up(self) -> Timeline:
        """Know what is live now, and settle what was decided.

        Raises Superseded, and ForeignStore where live was learnt with another backbone.
        """
        timeline = self.publisher.timeline()
        live = None if timeline.live is None else self._store.manifest(timeline.live)
        if live is not None and (self.base is None or live.version != self.base.version):
            check_backbone(live, self._backbone)
            self.knowledge = self.archive.read(live)
        self.base = live
        self.publisher.settle_decided(timeline)
        return timeline

    def publish(self, entry: Entry, task: str | None = None) -> bool:
        """Append an entry on top of what is live; False where it must be worked out again."""
        with self.span("publish", [*entry.batches, *entry.decided]):
            manifest = self.publisher.append(entry, self.base)
        if manifest is None:
            self.catch_up()
            return False
        self._published = manifest.version
        if manifest.kind.goes_live:
            self.base, self.knowledge = manifest, entry.knowledge
        batches = [*manifest.batches, *manifest.decided]
        self.tell(_EVENT_OF[manifest.kind], batches, task=task, version=manifest.version)
        return True

    def undone(self, timeline: Timeline, batches: Sequence[str]) -> list[str]:
        """Those of `batches`, all undecided, that a rollback has taken out of what is live."""
        learnt_by = timeline.undecided
        return [b for b in batches if not descends(self._store, self.base, learnt_by[b])]

    def lineage(self) -> MethodState | None:
        """The newest state of this very method; None where it has to start."""
        manifest = self._lineage_manifest()
        if manifest is None:
            return None
        if self._state is None or self._state[0] != manifest.version:
            self._state = (manifest.version, self.archive.read_method(manifest))
        return self._state[1]

    def remember(self, state: MethodState) -> None:
        """The method's state in what was published last: no need to read it back."""
        if self._published is not None:
            self._state = (self._published, state)

    def may_carry_traces_of(self, task: str) -> bool:
        """Whether any prompt that serves, or that training goes on from, may have seen this task.

        Whatever method trained it: prompts without a record of what they saw may carry anything,
        and a training may look at examples of all tasks known by then (eviction does).
        """
        number = self._store.timeline().lineage
        lineage = None if number is None else self._store.manifest(number)
        if lineage is not None and task in lineage.tasks and _has_state(lineage):
            return True
        for manifest in (self.base, lineage):
            roles = {} if manifest is None else manifest.blobs
            recorded = manifest is not None and _has_state(manifest)
            prompted = any(role.startswith(PREFIXES) for role in roles)
            if METHOD + SNAPSHOT + task in roles or (prompted and not recorded):
                return True
        return False

    def lineage_blobs(self) -> dict[str, str]:
        """Carried by every refresh, so that a rollback to it finds its method's state."""
        manifest = self._lineage_manifest()
        blobs = {} if manifest is None else manifest.blobs
        return {role: digest for role, digest in blobs.items() if role.startswith(METHOD)}

    def know(self, batch: Batch) -> None:
        """Note where a batch comes from, for the log: its record goes when it is settled."""
        if batch.traceparent is not None:
            self._parents[batch.id] = batch.traceparent
        trace = {} if batch.trace is None else {"trace": batch.trace}
        self._origins[batch.id] = {"task": batch.task, **trace}

    def span(self, name: str, batches: Sequence[str]) -> AbstractContextManager[object]:
        """Around work for these batches, in the traces that brought them."""
        return spans.caused(name, [self._parents[one] for one in batches if one in self._parents])

    def tell(self, kind: str, batches: Sequence[str], **facts: object) -> None:
        """Emit an event, and log it, a line for each batch; progress at debug.

        Why a batch fails may quote what users sent: its state says so, the log does not.
        """
        named = tuple(dict.fromkeys(batches))
        self._emit(Event.model_validate({"kind": kind, "batches": named, **facts}))
        level = logging.DEBUG if kind == "progress" else logging.INFO
        if not log.isEnabledFor(level):
            return
        said = {name: facts[name] for name in ("task", "version", "phase") if facts.get(name)}
        for batch in named or (None,):
            whose = {} if batch is None else {"batch": batch, **self._origins.get(batch, {})}
            log.log(level, "learner: %s", kind, extra={"fields": {**said, **whose}})

    def _lineage_manifest(self) -> Manifest | None:
        number = self._store.timeline().lineage
        manifest = None if number is None else self._store.manifest(number)
        mine = manifest is not None and manifest.method == self._method
        return manifest if mine else None


def _has_state(manifest: Manifest) -> bool:
    """Whether a version carries the state of a method."""
    return any(role.startswith(METHOD) for role in manifest.blobs)
