"""Death between any two steps of every operation, one after the other.

Steps are primitive calls in memory, and on a disk all that the operating system is asked for.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompt_store import (
    Backend,
    Conflict,
    InvalidDraft,
    Kind,
    MemoryBackend,
    Store,
    batch_id,
    digest_of,
    log,
)
from prompt_store.floor import Floor
from prompt_store.log import FLOORS, GRACE
from prompt_store.milestones import Milestones
from tests.prompt_store.disks import Death, Disk, reopened
from tests.prompt_store.drafts import Clock, append, batch, published
from tests.prompt_store.faults import Died, DyingBackend
from tests.prompt_store.lives import forget, learn
from tests.prompt_store.soundness import assert_sound, history

ONE, TWO = batch_id("one"), batch_id("two")
FEW = 4  # manifests from checkpoint to checkpoint, here


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "CHECKPOINT_EVERY", FEW)


@dataclass(frozen=True)
class Operation:
    """Something a process may die in: what was before, what it does, and what is then so."""

    prepare: Callable[[Store], object]
    act: Callable[[Store], object]
    done: Callable[[Store], bool]


def nothing(store: Store) -> None:
    pass


def append_blob(store: Store) -> None:
    append(store, Kind.TRAIN, blobs={"head": store.blobs.put(b"head")}, batches=(ONE,))


def fill_to_a_checkpoint(store: Store) -> None:
    while store.timeline().head < 3 * FEW - 1:
        append(store)


def learn_and_settle(store: Store) -> None:
    """One batch decided and settled, one decided; the next append notes the first."""
    for identifier in (ONE, TWO):
        store.intake.accept(batch(identifier))
    append(store, batches=(ONE, TWO))
    append(store, Kind.TRAIN, decided=(ONE, TWO))
    store.intake.settle(published(ONE))


def accept(store: Store) -> None:
    store.intake.accept(batch(ONE))


def accept_and_settle(store: Store) -> None:
    accept(store)
    store.intake.settle(published(ONE))


def damage(store: Store) -> None:
    digest = store.blobs.put(b"content")
    store.backend.delete(f"blobs/{digest}")
    store.backend.create(f"blobs/{digest}", b"conten")


def raise_floor(store: Store) -> None:
    """To the first number that no floor covers, from 2 on: an old one's deletions are made up."""
    newest = Milestones(store.backend, FLOORS, Floor).newest_number()
    store.log.raise_floor(max(2, newest + 1), keep=[1])


def kept_below(store: Store, version: int) -> list[int]:
    return sorted(m.version for m in history(store.backend) if m.version < version)


def learn_and_ask(store: Store) -> None:
    learn_and_settle(store)
    store.erasures.ask("mail", after=store.timeline().head)


def versions(store: Store) -> list[Kind]:
    return [manifest.kind for manifest in store.manifests(3)]


OPERATIONS = {
    "open": Operation(nothing, lambda store: Store.on(store.backend), lambda store: True),
    "blobs.put": Operation(
        nothing,
        lambda store: store.blobs.put(b"content"),
        lambda store: store.blobs.exists(digest_of(b"content")),
    ),
    "blobs.put over damage": Operation(
        damage,
        lambda store: store.blobs.put(b"content"),
        lambda store: (
            store.blobs.exists(digest_of(b"content"))
            and store.backend.read(f"blobs/{digest_of(b'content')}") == b"content"
        ),
    ),
    "append": Operation(nothing, append_blob, lambda store: store.timeline().head == 1),
    "append with checkpoint": Operation(
        fill_to_a_checkpoint,
        append_blob,
        lambda store: store.timeline().head == 3 * FEW,
    ),
    "append that notes the settled": Operation(
        learn_and_settle, lambda store: append(store), lambda store: store.timeline().head == 3
    ),
    "fence": Operation(
        append_blob, lambda store: store.fence("w"), lambda store: Kind.FENCE in versions(store)
    ),
    "promote": Operation(
        append_blob,
        lambda store: store.promote(1, "w"),
        lambda store: Kind.PROMOTE in versions(store),
    ),
    "accept": Operation(nothing, accept, lambda store: store.intake.pending() == [ONE]),
    "settle": Operation(
        accept,
        lambda store: store.intake.settle(published(ONE)),
        lambda store: store.intake.outcome(ONE) == published(ONE),
    ),
    "raise the floor": Operation(
        fill_to_a_checkpoint,
        raise_floor,
        lambda store: kept_below(store, 5) in ([1, 3, 4], [1, 4]),
    ),
    "ask to forget": Operation(
        nothing,
        lambda store: store.erasures.ask("mail", after=0),
        lambda store: len(store.erasures.pending()) == 1,
    ),
    "forget": Operation(
        learn_and_ask,
        forget,
        lambda store: store.erasures.pending() == [] and versions(store).count(Kind.FORGET) == 1,
    ),
    "accept again after settle": Operation(
        accept_and_settle,
        accept,
        lambda store: store.intake.pending() == [],
    ),
}


@dataclass(frozen=True)
class Place:
    """What is left of a process that dies before its n-th step, and the backend it dies in."""

    left: Callable[[], Backend]
    dying: Callable[[int], AbstractContextManager[Backend]]


def in_memory(folder: Path) -> Place:
    """A step is a primitive call."""
    inner = MemoryBackend()
    return Place(lambda: inner, lambda at: nullcontext(DyingBackend(inner, at)))


def on_a_disk(folder: Path) -> Place:
    """A step is what the operating system is asked for."""
    return Place(lambda: reopened(folder), lambda at: Disk(folder, Death(at)).watched())


PLACES = {"memory": in_memory, "disk": on_a_disk}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_death_at_every_step(name: str, place: str, tmp_path: Path) -> None:
    """Afterwards the store is sound, and doing it again gets it done exactly once."""
    operation = OPERATIONS[name]
    step, survived = 0, False
    while not survived:
        at, clock = PLACES[place](tmp_path / str(step)), Clock()
        operation.prepare(Store.on(at.left(), clock=clock))
        clock.now += 2 * GRACE
        with suppress(Died), at.dying(step) as dying:
            operation.act(Store(dying, clock=clock))
            survived = True
        store = assert_sound(at.left(), clock)
        if survived:
            assert operation.done(store)
        else:
            redo(operation, store)
            assert operation.done(assert_sound(at.left(), clock))
        step += 1
    assert step > 1


def redo(operation: Operation, store: Store) -> None:
    """What the process's successor does: look, and act where it is not done yet."""
    before = len(history(store.backend))
    if not operation.done(store):
        operation.act(store)
    assert len(history(store.backend)) <= before + 1


@pytest.mark.parametrize("place", PLACES)
def test_a_learner_that_dies_anywhere_learns_each_batch_exactly_once(
    place: str, tmp_path: Path
) -> None:
    """The learner's loop of the architecture page, killed at each step and started again."""
    step, survived = 0, False
    while not survived:
        at = PLACES[place](tmp_path / str(step))
        for identifier in (ONE, TWO):
            Store.on(at.left()).intake.accept(batch(identifier))
        try:
            with at.dying(step) as dying:
                learn(Store(dying))
            survived = True
        except Died:
            learn(Store.on(at.left()))
        store = assert_sound(at.left())
        assert store.intake.pending() == []
        manifests = history(store.backend)
        assert sorted(b for manifest in manifests for b in manifest.batches) == sorted([ONE, TWO])
        assert sorted(b for manifest in manifests for b in manifest.decided) == sorted([ONE, TWO])
        for manifest in manifests:
            for identifier in manifest.decided:
                outcome = store.intake.outcome(identifier)
                assert outcome is not None
                assert outcome.version == manifest.version
        step += 1
    assert step > 20


def test_a_store_object_stays_usable_after_an_error() -> None:
    """An operation that failed half-way (a network error) leaves no wrong state in memory."""
    inner = MemoryBackend()
    Store.on(inner)
    for step in range(8):
        dying = DyingBackend(inner, step)
        store = Store(dying)
        try:
            append(store)
        except Died:
            dying.dies_at = 10**9
        assert store.timeline() == Store.on(inner).timeline()
        try:
            append(store)
        except (Conflict, InvalidDraft):
            pytest.fail("a fresh look at the timeline must be enough")
    assert_sound(inner)
