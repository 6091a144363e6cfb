"""The watcher: keeps this replica on the newest live version.

The store is the truth and is polled; a nudge only makes the next look come sooner. A version is
loaded, validated and warmed off the event loop; the swap itself is one assignment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor

from learner.events import Event, EventKind
from prompt_store import Canary, Kind, Manifest, Store, StoreError, UnknownVersion
from serving.canary import ServedCanary
from serving.metrics import Metrics
from serving.snapshot import Snapshot, SnapshotLoader, Unservable

logger = logging.getLogger(__name__)

_TOLD = 32  # of the versions that appeared since the last look, how many are told as events
_EVENT_OF_KIND: dict[Kind, EventKind] = {Kind.REFRESH: "refreshed", Kind.CANDIDATE: "candidate"}


class Watcher:
    """Holds the current snapshot. Everything but the loading happens on one event loop."""

    def __init__(
        self,
        store: Store,
        loader: SnapshotLoader,
        executor: Executor,
        interval: float,
        metrics: Metrics,
        publish: Callable[[Event], None],
    ) -> None:
        self._store = store
        self._loader = loader
        self._executor = executor
        self._interval = interval
        self._metrics = metrics
        self._publish = publish
        self._snapshot: Snapshot | None = None
        self._canary: ServedCanary | None = None
        self._followed = 0
        self._seen_head: int | None = None
        self._looked = asyncio.Condition()
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.ready = False
        self.trouble: str | None = "the newest version is being loaded"
        self.canary_trouble: str | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The live version as loaded here; None while nothing has been published."""
        return self._snapshot

    @property
    def canary(self) -> ServedCanary | None:
        """The version that gets a share of the requests beside live; None where there is none."""
        return self._canary

    @property
    def version(self) -> int:
        """Its number, 0 while there is none."""
        return self._snapshot.version if self._snapshot else 0

    def start(self) -> None:
        """Starts watching on the running event loop."""
        self._metrics.set("perennial_ready", 0)
        self._metrics.set("perennial_up_to_date_timestamp_seconds", time.time())
        self._task = asyncio.get_running_loop().create_task(self._run(), name="watcher")

    async def stop(self) -> None:
        """Ends watching; the current snapshot stays."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def until_ready(self) -> None:
        """Returns once the newest live version is loaded."""
        async with self._looked:
            await self._looked.wait_for(lambda: self.ready)

    def nudge(self) -> None:
        """Look at the store now. Call it on the event loop."""
        self._nudged.set()

    async def reached(self, version: int) -> None:
        """Returns once this version, or a later one, is current here. Nudges first."""
        self.nudge()
        async with self._looked:
            await self._looked.wait_for(lambda: self.version >= version)

    async def followed(self, head: int) -> None:
        """Returns once all that the log says up to this number is so here. Nudges first."""
        self.nudge()
        async with self._looked:
            await self._looked.wait_for(lambda: self._followed >= head)

    async def _run(self) -> None:
        while True:
            self._nudged.clear()
            await self._look()
            async with self._looked:
                self._looked.notify_all()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), self._interval)

    async def _look(self) -> None:
        """One look at the store. What goes wrong leaves the old snapshot in place."""
        looked_at = time.time()
        try:
            await self._catch_up()
        except (StoreError, Unservable, OSError) as error:
            self._metrics.add("perennial_swap_failures")
            if self.trouble != str(error):
                logger.error("the newest version cannot be served", exc_info=error)
            self.trouble = str(error)
            return
        except Exception as error:
            self._metrics.add("perennial_swap_failures")
            logger.exception("watching the store failed")
            self.trouble = f"{type(error).__name__} while loading the newest version"
            return
        self.trouble = None
        self._metrics.set("perennial_up_to_date_timestamp_seconds", looked_at)
        if not self.ready:
            self.ready = True
            self._metrics.set("perennial_ready", 1)

    async def _catch_up(self) -> None:
        loop = asyncio.get_running_loop()
        timeline = await loop.run_in_executor(self._executor, self._store.timeline)
        if self._seen_head is not None and timeline.head > self._seen_head:
            await self._tell(max(self._seen_head, timeline.head - _TOLD), timeline.head)
        self._seen_head = timeline.head
        if timeline.canary is None:
            self._share(None)  # before the new live version is loaded
        if timeline.live is not None and timeline.live != self.version:
            await self._swap(timeline.live)
        if timeline.canary is not None:
            await self._follow(timeline.canary)
        self._followed = timeline.head

    async def _follow(self, entry: int) -> None:
        """Serve the canary that this manifest speaks of. Where that fails, live answers all."""
        known = self._canary
        if known is not None and known.entry.version == entry:
            return
        loop = asyncio.get_running_loop()
        try:
            manifest = await loop.run_in_executor(self._executor, self._store.manifest, entry)
            assert manifest.canary is not None, "only manifests of canaries begin one"
            version = manifest.canary.version
            if known is not None and known.snapshot.version == version:
                snapshot = known.snapshot
            else:
                self._canary = None  # live answers until the new one is loaded
                snapshot = await loop.run_in_executor(self._executor, self._loader.load, version)
        except (StoreError, Unservable, OSError) as error:
            trouble = f"the canary: {error}"
            if self.canary_trouble != trouble:
                logger.error("the canary cannot be served; live answers", exc_info=error)
            self._share(None, trouble)
            return
        self._share(ServedCanary(manifest, snapshot))

    def _share(self, canary: ServedCanary | None, trouble: str | None = None) -> None:
        self.canary_trouble = trouble
        self._metrics.set("perennial_canary_percent", canary.terms.percent if canary else 0)
        self._canary = canary

    async def _swap(self, version: int) -> None:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        snapshot = await loop.run_in_executor(self._executor, self._loader.load, version)
        self._snapshot = snapshot
        self._metrics.observe("perennial_swap_seconds", time.perf_counter() - started)
        if self.ready:
            lag = time.time() - snapshot.manifest.created_at.timestamp()
            self._metrics.observe("perennial_swap_lag_seconds", max(0.0, lag))
        self._metrics.add("perennial_swaps")
        self._metrics.set("perennial_version", version)
        logger.info("swapped", extra={"fields": {"version": version}})
        self._publish(Event(kind="swapped", version=version))

    async def _tell(self, after: int, head: int) -> None:
        """Publishes an event for each version that appeared since the last look."""
        loop = asyncio.get_running_loop()
        for version in range(after + 1, head + 1):
            with contextlib.suppress(UnknownVersion):  # deleted since: nothing to tell any more
                manifest = await loop.run_in_executor(self._executor, self._store.manifest, version)
                if manifest.kind is not Kind.FENCE:
                    self._measure(manifest)
                    self._publish(_event_of(manifest))

    def _measure(self, manifest: Manifest) -> None:
        for task, one in manifest.prequential.items():
            if one.rows:
                accuracy = one.right / one.rows
                self._metrics.set("perennial_prequential_accuracy", accuracy, task=task)
        outcome = _gate_outcome(manifest)
        if outcome is not None:
            self._metrics.add("perennial_gate_decisions", outcome=outcome)


def _event_of(manifest: Manifest) -> Event:
    if manifest.canary is not None:
        return Event(kind="canary", version=manifest.canary.version, message=_told(manifest.canary))
    kind = _EVENT_OF_KIND.get(manifest.kind, "published")
    batches = tuple(dict.fromkeys((*manifest.batches, *manifest.decided)))
    prequential = manifest.prequential or None
    return Event(kind=kind, version=manifest.version, batches=batches, prequential=prequential)


def _told(canary: Canary) -> str:
    if canary.percent:
        return f"{canary.percent:g} % of unpinned requests"
    return f"ended: {canary.reason}"


def _gate_outcome(manifest: Manifest) -> str | None:
    """What became of a trained prompt; None where no version says so, or the next one will."""
    gate = manifest.gate
    if gate is None:
        return None
    if manifest.kind is Kind.CANDIDATE:
        partly = gate.get("accepted") or gate.get("aggregate", "live") != "live"  # the rest follows
        return None if partly else "refused"
    return "accepted" if manifest.kind is Kind.TRAIN else "failed"
