import logging
from collections.abc import Iterator
from typing import Any

import pytest

from prompt_store import (
    Backend,
    Canary,
    Conflict,
    CorruptRecord,
    FencedOut,
    InvalidDraft,
    Kind,
    Log,
    MemoryBackend,
    Store,
    Timeline,
    UnknownVersion,
    UnsupportedFormat,
    batch_id,
)
from prompt_store.log import CHECKPOINT_EVERY, GRACE, STALE_AFTER
from tests.prompt_store.drafts import Clock, draft
from tests.prompt_store.faults import CountingBackend, DeafBackend
from tests.prompt_store.soundness import assert_sound, history


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fill(log: Log, count: int, **fields: Any) -> None:
    for _ in range(count):
        timeline = log.timeline()
        log.append(draft(epoch=timeline.epoch, **fields), after=timeline.head)


def checkpoints(backend: Backend) -> list[str]:
    return list(backend.list_after("checkpoints/"))


def rewrite(backend: Backend, key: str, data: bytes) -> None:
    backend.delete(key)
    backend.create(key, data)


def test_numbers_are_dense_and_readers_follow(backend: MemoryBackend) -> None:
    writer, reader = Log(backend), Log(backend)
    for number in range(1, 6):
        manifest = writer.append(draft(metrics={"n": number}), after=number - 1)
        assert manifest.version == number
        assert reader.timeline().head == number
        assert reader.manifest(number) == manifest
    assert [manifest.version for manifest in history(backend)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("after", [0, 1, 3, 100])
def test_a_number_that_is_not_next_is_a_conflict_that_names_the_head(
    backend: MemoryBackend, after: int
) -> None:
    fill(Log(backend), 2)
    log = Log(backend)
    with pytest.raises(Conflict) as conflict:
        log.append(draft(), after=after)
    assert conflict.value.head == 2
    assert len(history(backend)) == 2


def test_a_writer_that_did_not_look_again_gets_a_conflict(backend: MemoryBackend) -> None:
    slow, quick = Log(backend), Log(backend)
    fill(slow, 1)
    fill(quick, 3)
    with pytest.raises(Conflict) as conflict:
        slow.append(draft(), after=1)
    assert conflict.value.head == 4
    assert slow.append(draft(), after=4).version == 5


@pytest.mark.parametrize("kind", [Kind.REFRESH, Kind.TRAIN, Kind.CANDIDATE, Kind.FORGET])
def test_a_learner_behind_a_fence_is_out(backend: MemoryBackend, kind: Kind) -> None:
    old, new = Log(backend), Log(backend)
    fill(old, 1)
    new.append(draft(Kind.FENCE, epoch=1), after=1)
    with pytest.raises(FencedOut, match="epoch 0"):
        old.append(draft(kind, epoch=0), after=1)  # it has not seen the fence
    with pytest.raises(FencedOut, match="epoch 0"):
        old.append(draft(kind, epoch=0), after=2)  # it has
    assert new.append(draft(kind, epoch=1), after=2).epoch == 1


BATCH, OTHER = batch_id("one"), batch_id("two")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": 2},
        {"kind": Kind.FENCE, "epoch": 1},
        {"kind": Kind.FENCE, "epoch": 3},
        {"kind": Kind.PROMOTE, "epoch": 0},
        {"parent": 4},
        {"kind": Kind.PROMOTE, "source": 4},
        {"batches": (BATCH,)},
        {"decided": (OTHER,)},
    ],
)
def test_a_draft_that_contradicts_the_history_is_refused(
    backend: MemoryBackend, wrong: dict[str, Any]
) -> None:
    log = Log(backend)
    log.append(draft(batches=(BATCH,)), after=0)
    log.append(draft(Kind.FENCE, epoch=1), after=1)
    with pytest.raises(InvalidDraft):
        log.append(draft(**{"epoch": 1, **wrong}), after=2)
    assert log.timeline().head == 2


def test_a_batch_is_learnt_once_until_it_is_settled(backend: MemoryBackend) -> None:
    log = Log(backend)
    log.append(draft(batches=(BATCH,)), after=0)
    log.append(draft(Kind.TRAIN, decided=(BATCH,)), after=1)
    with pytest.raises(InvalidDraft, match="learnt already"):
        log.append(draft(batches=(BATCH,)), after=2)


def test_a_lost_reply_does_not_lose_the_commit(backend: MemoryBackend) -> None:
    log = Log(DeafBackend(backend))
    assert log.append(draft(), after=0).version == 1
    assert log.append(draft(), after=1).version == 2
    assert len(history(backend)) == 2


def test_two_equal_drafts_at_once_are_two_entries(backend: MemoryBackend) -> None:
    """Fences of learners with the same name at the same instant must not be taken for one."""
    clock = Clock()
    one, other = Log(backend, clock=clock), Log(backend, clock=clock)
    one.append(draft(Kind.FENCE, epoch=1), after=0)
    with pytest.raises(Conflict):
        other.append(draft(Kind.FENCE, epoch=1), after=0)


@pytest.mark.parametrize("version", [0, -1, 4, 10**9])
def test_versions_that_never_were_are_unknown(backend: MemoryBackend, version: int) -> None:
    log = Log(backend)
    fill(log, 3)
    with pytest.raises(UnknownVersion, match=str(version)):
        log.manifest(version)
    fill(log, 1)  # absence is not remembered
    assert log.manifest(4).version == 4


def test_newest_pages_downwards(backend: MemoryBackend) -> None:
    log = Log(backend)
    assert log.newest(5) == []
    fill(log, 7)
    assert [manifest.version for manifest in log.newest(3)] == [7, 6, 5]
    assert [manifest.version for manifest in log.newest(3, before=3)] == [2, 1]
    assert log.newest(3, before=1) == []
    assert [manifest.version for manifest in log.newest(2, before=100)] == [7, 6]


def test_two_checkpoints_are_kept(backend: MemoryBackend) -> None:
    log = Log(backend)
    fill(log, CHECKPOINT_EVERY - 1)
    assert checkpoints(backend) == []
    fill(log, 1 + 2 * CHECKPOINT_EVERY)
    assert [int(key[12:32]) for key in checkpoints(backend)] == [64, 96]
    assert Log(backend).timeline() == log.timeline()


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"{}"])
@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_checkpoints_are_passed_over_with_a_warning(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture, damage: Any, damaged: int
) -> None:
    log = Log(backend)
    fill(log, 2 * CHECKPOINT_EVERY + 3)
    for key in checkpoints(backend)[-damaged:]:
        rewrite(backend, key, damage(backend.read(key)))
    with caplog.at_level(logging.WARNING):
        assert Log(backend).timeline() == log.timeline()
    assert caplog.text.count("unreadable record") == damaged


def test_an_altered_checkpoint_is_passed_over(backend: MemoryBackend) -> None:
    log = Log(backend)
    fill(log, CHECKPOINT_EVERY)
    (key,) = checkpoints(backend)
    rewrite(backend, key, backend.read(key).replace(b'"live":32', b'"live":31'))
    assert Log(backend).timeline().live == CHECKPOINT_EVERY


def test_a_renamed_checkpoint_is_passed_over(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(backend)
    fill(log, CHECKPOINT_EVERY + 1)
    (key,) = checkpoints(backend)
    backend.create(key.replace("32", "33"), backend.read(key))
    assert Log(backend).timeline() == log.timeline()
    assert "renamed or copied" in caplog.text


class Pruning(CountingBackend):
    """Another process checkpoints, and prunes, between our first listing and our read."""

    def __init__(self, inner: Backend, writer: Log) -> None:
        super().__init__(inner)
        self.writer = writer

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        listed = super().list_after(prefix, after)
        if prefix == "checkpoints/" and self.calls["list"] <= 2:
            fill(self.writer, 3 * CHECKPOINT_EVERY)
        return listed


def test_a_checkpoint_pruned_under_the_reader_is_looked_up_again(backend: MemoryBackend) -> None:
    writer = Log(backend)
    fill(writer, CHECKPOINT_EVERY)
    pruning = Pruning(backend, writer)
    assert Log(pruning).timeline() == writer.timeline()
    assert pruning.calls["read"] < CHECKPOINT_EVERY  # from a checkpoint, not from the start


@pytest.mark.parametrize("damage", [lambda data: data[:40], lambda data: data.replace(b"1", b"2")])
def test_a_damaged_manifest_blocks_and_is_named(backend: MemoryBackend, damage: Any) -> None:
    fill(Log(backend), 3)
    key = list(backend.list_after("log/"))[1]
    rewrite(backend, key, damage(backend.read(key)))
    log = Log(backend)
    with pytest.raises((CorruptRecord, UnsupportedFormat), match=key):
        log.timeline()
    with pytest.raises((CorruptRecord, UnsupportedFormat), match=key):
        log.append(draft(), after=3)
    assert log.manifest(3).version == 3  # what is whole can still be read


def test_a_copied_manifest_is_refused(backend: MemoryBackend) -> None:
    fill(Log(backend), 1)
    (key,) = backend.list_after("log/")
    backend.create(key.replace("1.json", "2.json"), backend.read(key))
    with pytest.raises(CorruptRecord, match="renamed or copied"):
        Log(backend).timeline()


# The floor: what retention may delete, and the sleepers that must not bring it back.


def aged(backend: Backend, clock: Clock, count: int = 3 * CHECKPOINT_EVERY) -> Log:
    """A log whose entries are all old enough to be deleted."""
    log = Log(backend, clock=clock)
    fill(log, count)
    clock.now += 2 * GRACE
    return log


def test_raising_the_floor_keeps_what_is_needed_and_opening_still_works(
    backend: MemoryBackend, clock: Clock
) -> None:
    log = Log(backend, clock=clock)
    fill(log, 2)
    log.append(draft(Kind.TRAIN, batches=(BATCH,)), after=2)
    fill(log, 3 * CHECKPOINT_EVERY)
    clock.now += 2 * GRACE
    before = log.timeline()
    floor = log.raise_floor(64, keep=[10, 64])
    assert floor.kept == (3, 10, 64)  # 3: lineage, and where an undecided batch was learnt
    left = [manifest.version for manifest in history(backend)]
    assert left == [3, 10, 64, *range(65, 100)]
    assert Log(backend).timeline() == before
    with pytest.raises(UnknownVersion):
        Log(backend).manifest(9)
    assert [m.version for m in Log(backend).newest(5, before=67)] == [66, 65, 64, 10, 3]


def test_the_floor_keeps_what_a_canary_needs(backend: MemoryBackend, clock: Clock) -> None:
    log = Log(backend, clock=clock)
    fill(log, 7)
    log.append(draft(Kind.CANARY, canary=Canary(version=5, percent=10)), after=7)
    fill(log, 3 * CHECKPOINT_EVERY)
    clock.now += 2 * GRACE
    assert log.raise_floor(64, keep=[]).kept == (5, 8)
    assert Log(backend).timeline().canary == 8


def test_the_floor_can_be_raised_again(backend: MemoryBackend, clock: Clock) -> None:
    log = aged(backend, clock)
    log.raise_floor(20, keep=[5, 7])
    log.raise_floor(40, keep=[7, 30])
    assert [manifest.version for manifest in log.newest(60)][-2:] == [30, 7]
    assert [manifest.version for manifest in history(backend)][:3] == [7, 30, 41]


@pytest.mark.parametrize("top", [65, 96, 97])
def test_the_floor_stays_below_both_checkpoints(
    backend: MemoryBackend, clock: Clock, top: int
) -> None:
    with pytest.raises(ValueError, match="above a checkpoint"):
        aged(backend, clock).raise_floor(top, keep=[])


def test_the_floor_only_rises_and_respects_the_grace_period(
    backend: MemoryBackend, clock: Clock
) -> None:
    log = aged(backend, clock)
    log.raise_floor(20, keep=[])
    with pytest.raises(ValueError, match="not above 20"):
        log.raise_floor(20, keep=[])
    clock.now -= 2 * GRACE
    with pytest.raises(ValueError, match="s old"):
        log.raise_floor(30, keep=[])
    with pytest.raises(ValueError, match="above a checkpoint"):
        Log(MemoryBackend()).raise_floor(1, keep=[])


class Sleeping(CountingBackend):
    """Goes to sleep right before or after a create in the log; the world goes on meanwhile."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.before_create: Any = None
        self.after_create: Any = None

    def create(self, key: str, data: bytes) -> None:
        if key.startswith("log/") and self.before_create:
            self.before_create, wake = None, self.before_create
            wake()
        super().create(key, data)
        if key.startswith("log/") and self.after_create:
            self.after_create, wake = None, self.after_create
            wake()


@pytest.mark.parametrize("clock_stood_still", [False, True])
def test_a_writer_that_slept_does_not_resurrect_a_deleted_number(
    backend: MemoryBackend, clock: Clock, clock_stood_still: bool
) -> None:
    bed, others = Sleeping(backend), Log(backend, clock=clock)
    sleeper = Log(bed, clock=Clock() if clock_stood_still else clock)
    fill(sleeper, 5)

    def sleep() -> None:
        fill(others, 3 * CHECKPOINT_EVERY)
        clock.now += 2 * GRACE
        others.raise_floor(50, keep=[])
        assert not backend.exists("log/00000000000000000006.json")

    bed.before_create = sleep
    with pytest.raises(Conflict) as conflict:
        sleeper.append(draft(), after=5)
    assert conflict.value.head == 5 + 3 * CHECKPOINT_EVERY
    assert not backend.exists("log/00000000000000000006.json")
    assert sleeper.timeline() == others.timeline() == Log(backend).timeline()
    fill(sleeper, 1)
    assert others.timeline().head == 6 + 3 * CHECKPOINT_EVERY


def test_a_writer_overtaken_by_a_checkpoint_keeps_its_commit(backend: MemoryBackend) -> None:
    """Others may append and checkpoint between our create and our look at the floor."""
    Store.on(backend)
    bed = Sleeping(backend)
    slow, others = Log(bed), Log(backend)
    fill(slow, 5)
    bed.after_create = lambda: fill(others, 2 * CHECKPOINT_EVERY)
    assert slow.append(draft(metrics={"mine": 1}), after=5).version == 6
    assert Log(backend).manifest(6).metrics == {"mine": 1}
    assert_sound(backend)


@pytest.mark.parametrize("keep", [[6], []])
def test_a_writer_that_slept_right_after_its_commit(
    backend: MemoryBackend, clock: Clock, keep: list[int]
) -> None:
    """It hears of its commit when the entry is kept, and of a conflict when it is gone."""
    bed = Sleeping(backend)
    sleeper, others = Log(bed, clock=clock), Log(backend, clock=clock)
    fill(sleeper, 5)

    def sleep() -> None:
        fill(others, 3 * CHECKPOINT_EVERY)
        clock.now += 2 * GRACE
        others.raise_floor(50, keep=keep)

    bed.after_create = sleep
    if keep:
        assert sleeper.append(draft(), after=5).version == 6
    else:
        with pytest.raises(Conflict):
            sleeper.append(draft(), after=5)
    assert backend.exists("log/00000000000000000006.json") == bool(keep)
    assert sleeper.timeline() == others.timeline()


def test_a_reader_that_slept_jumps_over_what_was_deleted(
    backend: MemoryBackend, clock: Clock
) -> None:
    sleeper, others = Log(backend, clock=clock), Log(backend, clock=clock)
    fill(others, 5)
    assert sleeper.timeline().head == 5
    fill(others, 3 * CHECKPOINT_EVERY)
    clock.now += 2 * GRACE
    others.raise_floor(50, keep=[])
    assert sleeper.timeline() == others.timeline()


def test_a_clock_that_steps_back_does_not_hide_what_is_new(
    backend: MemoryBackend, clock: Clock
) -> None:
    sleeper, others = Log(backend, clock=clock), aged(backend, clock)
    assert sleeper.timeline().head == 96
    fill(others, 3 * CHECKPOINT_EVERY)
    clock.now += 2 * GRACE
    others.raise_floor(150, keep=[])
    clock.now -= 3 * GRACE
    assert sleeper.timeline().head == 192


def test_a_poll_is_one_read_and_a_look_at_the_checkpoints_now_and_then(
    backend: MemoryBackend, clock: Clock
) -> None:
    fill(Log(backend), 40)
    counted = CountingBackend(backend)
    log = Log(counted, clock=clock)
    log.timeline()
    counted.calls.clear()
    log.timeline()
    assert counted.calls == {"read": 1}
    clock.now += STALE_AFTER
    log.timeline()
    assert counted.calls["list"] == 2


def test_a_log_without_its_beginning_and_without_checkpoints_is_not_an_empty_one(
    backend: MemoryBackend, clock: Clock
) -> None:
    aged(backend, clock).raise_floor(64, keep=[])
    for key in checkpoints(backend):
        rewrite(backend, key, b"")
    with pytest.raises(CorruptRecord, match="No checkpoint at or above 64"):
        Log(backend).timeline()


def test_known_reads_nothing(backend: MemoryBackend) -> None:
    fill(Log(backend), 2)
    counted = CountingBackend(backend)
    log = Log(counted)
    assert log.known == Timeline()
    assert not counted.calls
    assert log.timeline() == log.known
