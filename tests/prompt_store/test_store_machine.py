"""The store against a model of plain lists and dictionaries, under any sequence of calls."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prompt_store import (
    BodyMismatch,
    Canary,
    Conflict,
    Draft,
    FencedOut,
    Kind,
    MemoryBackend,
    NotFound,
    Snapshot,
    Store,
    UnknownVersion,
    audit_store,
    batch_id,
    log,
    restore,
)
from prompt_store.log import GRACE
from tests.prompt_store.drafts import Clock, batch, draft, published
from tests.prompt_store.soundness import disagrees, history, no_images

BATCHES = [batch_id(f"batch {number}") for number in range(8)]
LEARNER_KINDS = [Kind.REFRESH, Kind.TRAIN, Kind.CANDIDATE, Kind.FORGET]

FEW = 4  # manifests from checkpoint to checkpoint, here
STEPS = 40

some_batch = st.sampled_from(BATCHES)
who = st.integers(0, 1)


class StoreMachine(RuleBasedStateMachine):
    """Two store objects (processes) over one place; the model sees every call of both.

    A third one sleeps: it is only looked at when it wakes.
    """

    steps = 0  # of all examples

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(log, "CHECKPOINT_EVERY", FEW)
        self.backend = MemoryBackend()
        self.clock = Clock()
        one = Store.on(self.backend, clock=self.clock)
        self.stores = [one, Store(self.backend, clock=self.clock)]
        self.sleeper = Store(self.backend, clock=self.clock)
        self.log: list[Draft] = []
        self.moments: list[float] = []
        self.floor = 0
        self.gone: set[int] = set()
        self.live: int | None = None
        self.lineage: int | None = None
        self.epoch = 0
        self.canary: int | None = None
        self.canary_end: int | None = None
        self.undecided: dict[str, int] = {}
        self.bodies: dict[str, str] = {}
        self.outcomes: dict[str, int] = {}
        self.blobs: set[str] = set()

    @rule(who=who)
    def restart(self, who: int) -> None:
        self.stores[who] = Store(self.backend, clock=self.clock)
        for version in self.gone:
            with pytest.raises(UnknownVersion):
                self.stores[who].manifest(version)

    @rule()
    def the_sleeper_wakes(self) -> None:
        assert self.sleeper.timeline() == self.stores[0].timeline()

    @rule(seconds=st.sampled_from([1.0, 100.0, GRACE, -50.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(who=who, data=st.binary(max_size=4))
    def put(self, who: int, data: bytes) -> None:
        digest = self.stores[who].blobs.put(data)
        self.blobs.add(digest)
        assert self.stores[1 - who].blobs.get(digest) == data

    @rule(who=who, kind=st.sampled_from(LEARNER_KINDS), data=st.data())
    def append(self, who: int, kind: Kind, data: st.DataObject) -> None:
        queued = sorted(set(self.bodies) - set(self.outcomes) - self._learnt())
        fields: dict[str, Any] = {
            "batches": tuple(data.draw(_some(queued))),
            "decided": tuple(data.draw(_some(sorted(self.undecided)))),
            "blobs": {digest[:6]: digest for digest in data.draw(_some(sorted(self.blobs)))},
        }
        entry = draft(kind, self.epoch, **fields)
        assert self.stores[who].append(entry, after=len(self.log)).version == len(self.log) + 1
        self._record(entry)
        self.undecided |= dict.fromkeys(entry.batches, len(self.log))
        for decided in entry.decided:
            del self.undecided[decided]

    @rule(who=who, kind=st.sampled_from(LEARNER_KINDS), lag=st.integers(1, 3))
    @precondition(lambda self: self.log)
    def append_late(self, who: int, kind: Kind, lag: int) -> None:
        after = max(0, len(self.log) - lag)
        with pytest.raises(Conflict) as conflict:
            self.stores[who].append(draft(kind, self.epoch), after=after)
        assert conflict.value.head == len(self.log)

    @rule(who=who, kind=st.sampled_from(LEARNER_KINDS), lag=st.integers(0, 2))
    @precondition(lambda self: self.epoch)
    def append_fenced_out(self, who: int, kind: Kind, lag: int) -> None:
        with pytest.raises(FencedOut):
            self.stores[who].append(draft(kind, self.epoch - 1), after=len(self.log) - min(lag, 1))

    @rule(who=who)
    def fence(self, who: int) -> None:
        self.epoch += 1
        assert self.stores[who].fence("learner") == self.epoch
        self._record(draft(Kind.FENCE, self.epoch))

    @rule(who=who, data=st.data())
    @precondition(lambda self: self.log)
    def promote(self, who: int, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(self._kept()))
        content = self.log[version - 1]
        if not content.kind.has_content:
            with pytest.raises(ValueError, match="nothing to serve"):
                self.stores[who].promote(version, "operator")
            return
        promoted = self.stores[who].promote(version, "operator")
        older = self.live is not None and version < self.live
        assert promoted.kind is (Kind.ROLLBACK if older else Kind.PROMOTE)
        assert (promoted.blobs, promoted.parent) == (content.blobs, self.live)
        self._record(draft(promoted.kind, self.epoch, source=version, blobs=content.blobs))

    @rule(who=who, data=st.data())
    @precondition(lambda self: self.log)
    def start_canary(self, who: int, data: st.DataObject) -> None:
        canary = Canary(version=data.draw(st.sampled_from(self._kept())), percent=5)
        if not self.log[canary.version - 1].kind.has_content:
            with pytest.raises(ValueError, match="nothing to serve"):
                self.stores[who].start_canary(canary, "operator")
            return
        assert self.stores[who].start_canary(canary, "operator").canary == canary
        self._record(draft(Kind.CANARY, self.epoch, canary=canary))

    @rule(who=who, lag=st.integers(0, 3))
    def end_canary(self, who: int, lag: int) -> None:
        """The second to end it, and one that means an earlier canary, change nothing."""
        begun = [n for n, one in enumerate(self.log, 1) if one.canary and one.canary.percent]
        if not begun:
            return
        began = begun[-1 - min(lag, len(begun) - 1)]
        ended = self.stores[who].end_canary(began, "harm", "replica")
        assert (ended is not None) == (self.canary == began)
        if ended is not None:
            assert ended.canary is not None
            assert ended.canary.reason == "harm"
            self._record(draft(Kind.CANARY, self.epoch, canary=ended.canary))
        assert self.stores[1 - who].end_canary(began, "harm", "replica") is None

    @rule(who=who, identifier=some_batch, body=st.sampled_from(["body", "other"]))
    def accept(self, who: int, identifier: str, body: str) -> None:
        intake, given = self.stores[who].intake, batch(identifier, body)
        new = identifier not in self.bodies
        if self.bodies.setdefault(identifier, body) != body:
            with pytest.raises(BodyMismatch):
                intake.accept(given)
        else:
            assert intake.accept(given) == new

    @rule(who=who, identifier=some_batch)
    def settle(self, who: int, identifier: str) -> None:
        intake = self.stores[who].intake
        if identifier not in self.bodies:
            with pytest.raises(NotFound):
                intake.settle(published(identifier))
            return
        version = len(self.log) + 1
        intake.settle(published(identifier, version))
        self.outcomes.setdefault(identifier, version)

    @rule(who=who, data=st.data())
    @precondition(lambda self: len(self.log) >= FEW)
    def raise_floor(self, who: int, data: st.DataObject) -> None:
        top = data.draw(st.integers(1, len(self.log)))
        keep = data.draw(st.sets(st.integers(1, top), max_size=2))
        checkpoints = range(FEW, len(self.log) + 1, FEW)[-2:]
        is_old = self.clock.now - self.moments[top - 1] >= GRACE
        if not (self.floor < top <= checkpoints[0] and (top in self.gone or is_old)):
            with pytest.raises(ValueError):
                self.stores[who].log.raise_floor(top, keep)
            return
        self.stores[who].log.raise_floor(top, keep)
        needed = {self.live, self.lineage, *self.undecided.values(), *keep, *self._tried()}
        self.floor = top
        self.gone |= set(range(1, top + 1)) - needed

    def teardown(self) -> None:
        """It is sound, and so is its copy, which has the same history."""
        self.patch.undo()
        copy, store = MemoryBackend(), Store.existing(self.backend)
        restore(Snapshot(store, no_images).entries(), copy)
        for place in (self.backend, copy):
            assert all(disagrees(fault) for fault in audit_store(place, no_images).faults)
        assert history(copy) == history(self.backend)
        assert Store.existing(copy).timeline() == store.timeline()

    @invariant()
    def a_step_is_counted(self) -> None:
        type(self).steps += 1

    @invariant()
    def the_timeline_is_the_models(self) -> None:
        for store in self.stores:
            timeline = store.timeline()
            assert timeline.head == len(self.log)
            assert (timeline.live, timeline.lineage) == (self.live, self.lineage)
            assert timeline.epoch == self.epoch
            assert (timeline.canary, timeline.canary_end) == (self.canary, self.canary_end)
            assert timeline.undecided == self.undecided

    @invariant()
    def the_manifests_are_the_models(self) -> None:
        newest = self.stores[0].manifests(4)
        kept = [self.log[version - 1] for version in reversed(self._kept()[-4:])]
        assert [(m.kind, m.blobs, m.batches, m.decided) for m in newest] == [
            (d.kind, d.blobs, d.batches, d.decided) for d in kept
        ]

    @invariant()
    def the_intake_is_the_models(self) -> None:
        open_ = sorted(set(self.bodies) - set(self.outcomes))
        for store in self.stores:
            assert store.intake.pending() == open_
            for identifier in self.bodies:
                outcome = store.intake.outcome(identifier)
                assert (outcome and outcome.version) == self.outcomes.get(identifier)

    def _record(self, entry: Draft) -> None:
        self.log.append(entry)
        self.moments.append(self.clock.now)
        before = self.canary
        if entry.canary is not None:
            self.canary = len(self.log) if entry.canary.percent else None
        elif entry.kind in (Kind.ROLLBACK, Kind.PROMOTE, Kind.FORGET):
            self.canary = None
        if before is not None and self.canary is None:
            self.canary_end = len(self.log)
        if entry.kind not in (Kind.CANDIDATE, Kind.FENCE, Kind.CANARY):
            self.live = len(self.log)
        if entry.kind not in (Kind.REFRESH, Kind.FENCE, Kind.CANARY):
            self.lineage = len(self.log)

    def _kept(self) -> list[int]:
        return sorted(set(range(1, len(self.log) + 1)) - self.gone)

    def _tried(self) -> set[int]:
        """The manifest that speaks of the canary, and the version it serves."""
        under_way = None if self.canary is None else self.log[self.canary - 1].canary
        return set() if under_way is None else {self.canary or 0, under_way.version}

    def _learnt(self) -> set[str]:
        return {identifier for entry in self.log for identifier in entry.batches}


def _some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=3) if values else st.just([])


class ManySteps(StoreMachine):
    """The same, for the ten thousand calls."""


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=STEPS, deadline=None)
ManySteps.TestCase.settings = settings(max_examples=400, stateful_step_count=STEPS, deadline=None)


@pytest.mark.slow
class TestStoreMachine(StoreMachine.TestCase):  # type: ignore[misc, valid-type]
    """A thousand calls."""

    def runTest(self) -> None:
        super().runTest()
        assert StoreMachine.steps >= 1_000


@pytest.mark.long
@pytest.mark.timeout(1800)
class TestManySteps(ManySteps.TestCase):  # type: ignore[misc, valid-type]
    """Ten thousand calls."""

    def runTest(self) -> None:
        super().runTest()
        assert ManySteps.steps >= 10_000
