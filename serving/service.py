"""The one application object: everything the API can do, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from backbones import Input, Preprocessed
from learner import spans
from learner.events import Event
from prompt_store import Actor, Canary, Manifest, Store
from serving import audit
from serving.auth import Access
from serving.batcher import Answer, Batcher
from serving.ending import Ending
from serving.events import EventBus
from serving.feedback import Judged, Truth, check_truths, judge, lesson
from serving.forward import ForwardPass, Work, check, no_classes
from serving.history import WRITER, History
from serving.keyring import Keyring
from serving.learner_meter import LearnerMeter
from serving.learning import Learning
from serving.limits import check_count, check_inputs
from serving.live_accuracy import LiveAccuracy
from serving.metrics import Metrics
from serving.pins import Pins
from serving.precision import Engines
from serving.preprocessing import Preprocessor
from serving.problems import Problem, invalid
from serving.progress import Progress
from serving.settings import Settings
from serving.snapshot import Snapshot, SnapshotLoader
from serving.split import Split
from serving.submission import Submission
from serving.swap import Watcher

P = ParamSpec("P")
T = TypeVar("T")

_STORE_THREADS = 4  # for blocking reads and writes of the store
_ITSELF = "replica"  # of manifests that end a canary without a caller's word
_FORWARDED = ("progress", "failed", "idle")  # the learner's events that the log does not tell


@dataclass(frozen=True)
class Heard:
    """What became of feedback. judged: each, and whether it was counted; batch: that learns it."""

    judged: Sequence[tuple[Judged, bool]]
    batch: str | None


class Service:
    """One replica. Make it anywhere; `start` and all else belong to one event loop.

    nudge: called with a version that was just published through this replica, to tell the others;
    wake: called when a batch has been accepted, to tell the learner. Both poll anyway.
    troubles: what others have to report in `/v1/info`, by their name, as a fallback in use.
    trusted_local: see `Access`.
    """

    def __init__(
        self,
        store: Store,
        engines: Engines,
        settings: Settings,
        metrics: Metrics,
        *,
        nudge: Callable[[int], None] | None = None,
        wake: Callable[[], None] | None = None,
        trusted_local: bool | None = None,
    ) -> None:
        self.store = store
        self.backbone = backbone = engines.usual
        self.engines = engines
        self.settings = settings
        self.metrics = metrics
        self.events = EventBus()
        self.troubles: dict[str, str] = {}
        self._nudge = nudge
        self._wake = wake
        self._executor = ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="store")
        self.keyring = Keyring(
            store.keys,
            Access(settings.keys, trusted_local=trusted_local),
            settings.limits,
            self._executor,
            settings.polling.versions_seconds,
        )
        self.pins = Pins(SnapshotLoader(store, backbone), self._executor, settings.pinned_versions)
        self.watcher = Watcher(
            store,
            SnapshotLoader(store, backbone),
            self._executor,
            settings.polling.versions_seconds,
            metrics,
            self.events.publish,
        )
        self.batcher = Batcher(
            ForwardPass(self.engines),
            backbone.passes,
            lambda: self.watcher.snapshot,
            settings.batching,
            settings.limits,
            metrics,
        )
        self.split = Split(
            self.batcher, self.watcher, metrics, settings.limits.queue_depth, self._end_canary
        )
        self.preprocessor = Preprocessor(backbone, settings.limits, metrics)
        self.learning = Learning(
            store, backbone.description, settings.limits, metrics, lambda: self.watcher.snapshot
        )
        self.history = History(store, backbone.description.fingerprint)
        self.live_accuracy = LiveAccuracy(metrics)
        self._learner_meter = LearnerMeter(metrics)
        self.ending = Ending()
        self.stream_places = _stream_places(settings)
        self.streams = asyncio.Semaphore(self.stream_places)

    async def start(self) -> None:
        """Starts watching and answering; `ready` once the newest live version is loaded."""
        self.events.open()
        self.batcher.start()
        self.watcher.start()
        self.keyring.start()

    async def stop(self) -> None:
        """Ends everything that `start` began. What was accepted is in the store."""
        self.events.close()
        await self.keyring.stop()
        await self.watcher.stop()
        await self.split.stop()
        await self.batcher.stop()
        await asyncio.to_thread(self.preprocessor.shutdown)
        await asyncio.to_thread(self._executor.shutdown)

    def leave(self) -> None:
        """Withdraws readiness and ends idle streams; requests are answered all the same."""
        self.ending.begin()
        self.metrics.set("perennial_ready", 0)
        self.events.close()

    def hurry(self) -> None:
        """Refuses what waits for a pass: time is almost up."""
        self.ending.hurry()
        self.batcher.refuse()

    @property
    def ready(self) -> bool:
        return self.watcher.ready and not self.ending.began

    def trouble(self) -> list[str]:
        """What does not work as it should, for people; empty when all is well."""
        watched = (self.watcher.trouble, self.watcher.canary_trouble, self.keyring.trouble)
        own = [one for one in watched if one]
        return own + list(self.troubles.values())

    async def off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a blocking call in a store thread. Cancelling stops the waiting, not the call."""
        context = copy_context()
        bound = partial(context.run, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, bound)

    def measure_pending(self) -> None:
        """Counts the batches that wait, in a store thread; nobody waits for it."""
        self._executor.submit(self.learning.pending)

    # Predicting

    async def classify(
        self,
        inputs: Sequence[Input],
        task: str | None = None,
        top_k: int = 5,
        version: int | None = None,
        min_version: int | None = None,
        *,
        patient: bool = False,
        caller: str | None = None,
    ) -> Answer:
        """Predictions for each input, all from one version. patient: others go first.

        caller: who sees one version as long as a canary lasts; None: whoever asks the same does.

        Raises Problem: not-ready, no-classes, unknown-task, unknown-version, version-not-loaded,
        version-not-loadable, unsupported-input, invalid-content, overloaded.
        """
        check_count(inputs, self.settings.limits.inputs, "inputs")
        check_inputs(inputs, self.settings.limits, self.backbone.description)
        pinned = await self.answering(task, version, min_version)
        self.batcher.check_room(len(inputs), patient=patient)
        async with self.preprocessor.turn(patient=patient):
            with spans.span("preprocess"):
                read = await self._read(inputs)
        work = Work(inputs, read, task, top_k, pinned, patient)
        if version is None and min_version is None:
            return await self.split.submit(work, caller)
        return await self.batcher.submit(work)

    async def answering(
        self, task: str | None, version: int | None, min_version: int | None
    ) -> Snapshot | None:
        """The version that is asked for by its number, None where the live one will do.

        Raises Problem where neither can answer, as `classify` does.
        """
        if not self.watcher.ready:
            raise Problem("not-ready", self.watcher.trouble or "starting", retry_after=1)
        _check_order(version, min_version)
        pinned = None if version is None else await self._pinned(version)
        snapshot = pinned or self._live(min_version)
        if snapshot is None or snapshot.is_empty:
            raise no_classes(await self.off_loop(self.learning.pending))
        check(snapshot, task)
        return pinned

    async def _read(self, inputs: Sequence[Input]) -> Preprocessed:
        if self.backbone.description.modality == "text":
            return await self.preprocessor.texts(inputs)
        return await self.preprocessor.images(inputs, "inputs/{}")

    async def _pinned(self, version: int) -> Snapshot:
        live = self.watcher.snapshot
        if live is not None and live.version == version:
            return live
        canary = self.watcher.canary
        if canary is not None and canary.snapshot.version == version:
            return canary.snapshot
        return await self.pins.get(version)

    def _live(self, min_version: int | None) -> Snapshot | None:
        if min_version is not None and min_version > self.watcher.version:
            self.watcher.nudge()
            raise Problem(
                "version-not-loaded",
                f"version {self.watcher.version} is live here, {min_version} was asked for",
                retry_after=1,
                version=self.watcher.version,
            )
        return self.watcher.snapshot

    # Learning

    async def accept(self, submission: Submission) -> Progress:
        """Makes a batch durable and says where it stands; what cannot be learnt is refused first.

        Raises Problem: invalid-content, unsupported-input, overloaded, idempotency-key-reused.
        """
        await self.off_loop(self.learning.check, submission)
        if self.backbone.description.modality == "vision":
            images = [one.input for one in submission.examples]
            await self.preprocessor.check(images, f"{submission.member}/{{}}/input")
        progress = await self.off_loop(self.learning.accept, submission)
        if progress.status == "queued" and self._wake is not None:
            self._wake()
        return progress

    async def feedback(self, truths: Sequence[Truth], *, learn: bool) -> Heard:
        """Counts how predictions did. learn: accepts them as a batch before; all or nothing.

        Raises Problem: invalid-content, unknown-prediction, and what `accept` raises.
        """
        check_truths(truths, self.settings.limits, learn=learn)
        judged = await self.off_loop(judge, truths, self._manifest)
        batch = (await self.accept(lesson(judged))).batch if learn else None
        counted = [(one, self.live_accuracy.count(one)) for one in judged]
        for one, fresh in counted:
            if fresh:
                self.split.heard(one)
        return Heard(counted, batch)

    def _manifest(self, version: int) -> Manifest:
        live = self.watcher.snapshot
        if live is not None and live.version == version:
            return live.manifest
        return self.store.manifest(version)

    async def forget(self, request: Callable[P, str], *args: P.args, **kwargs: P.kwargs) -> str:
        """Notes durably what is to be forgotten: one of the calls of `learning`; the request's id.

        Raises Problem as the call does.
        """
        erasure = await self.off_loop(request, *args, **kwargs)
        if self._wake is not None:
            self._wake()
        return erasure

    async def promote(self, version: int) -> Manifest:
        """Makes a version's content live: here, before this returns.

        It is loaded first, so that nothing goes live that cannot be served. Raises as
        `History.promote` and `Pins.get` do.
        """
        await self.off_loop(self.history.check, version)
        await self._pinned(version)
        manifest = await self.off_loop(self.history.promote, version)
        if self._nudge is not None:
            self._nudge(manifest.version)
        await self.watcher.reached(manifest.version)
        return manifest

    async def start_canary(self, canary: Canary) -> None:
        """Gives a version a share of the unpinned requests: here, before this returns.

        It takes the place of any before; the same again changes nothing. Raises as `promote` does,
        and Problem: no-classes, invalid-content (it is live).
        """
        await self.off_loop(self.history.check, canary.version)
        live = self.watcher.snapshot
        if live is None:
            raise no_classes()
        if live.version == canary.version:
            raise invalid("#/version", f"version {canary.version} is live: it answers all requests")
        await self._pinned(canary.version)
        manifest = await self.off_loop(self.history.start_canary, canary)
        if manifest is not None:
            await self._followed(manifest)

    async def end_canary(self, reason: str) -> None:
        """Live answers all requests again: here, before this returns. Without one: does nothing."""
        timeline = await self.off_loop(self.store.timeline)
        if timeline.canary is not None:
            await self._end_canary(timeline.canary, reason, WRITER, audit.acting.get())

    async def _end_canary(
        self, began: int, reason: str, writer: str = _ITSELF, actor: Actor | None = None
    ) -> None:
        """The one that manifest `began` speaks of; whoever was first has said why."""
        manifest = await self.off_loop(self.store.end_canary, began, reason, writer, actor)
        if manifest is not None:
            assert manifest.canary is not None, "it speaks of the canary that it ends"
            who = writer if actor is None else actor.name  # a task has its maker's `acting`
            audit.tell("canary end", who=who, version=manifest.canary.version)
            await self._followed(manifest)

    async def _followed(self, manifest: Manifest) -> None:
        if self._nudge is not None:
            self._nudge(manifest.version)
        await self.watcher.followed(manifest.version)

    def refresh(self, version: int) -> None:
        """The nudge: somebody published `version`. Call it on the event loop."""
        if version > self.watcher.version:
            self.watcher.nudge()

    def observe(self, event: Event) -> None:
        """The learner's progress, from any thread.

        What it publishes is not passed on to listeners: every replica tells that from the log.
        """
        self.learning.overlay.observe(event)
        if event.kind == "failed" and not event.batches:
            self.troubles["learner"] = f"the learner: {event.message}"
        elif event.version is not None:
            self.troubles.pop("learner", None)
        self._learner_meter.observe(event)
        if event.kind in _FORWARDED:
            self.events.publish(event)


def _check_order(version: int | None, min_version: int | None) -> None:
    if version is not None and min_version is not None and version < min_version:
        raise invalid("#/version", f"version {version} is below min_version {min_version}")


def _stream_places(settings: Settings) -> int:
    """Inputs of all streams under way at once: a pass, and the next; half of the queue at most."""
    return max(1, min(2 * settings.batching.inputs, settings.limits.queue_depth // 2))
