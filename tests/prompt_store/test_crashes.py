"""Death between any two primitive calls of every operation, one after the other."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from prompt_store import Conflict, InvalidDraft, Kind, MemoryBackend, Store, batch_id, digest_of
from prompt_store.log import CHECKPOINT_EVERY, GRACE
from tests.prompt_store.drafts import Clock, append, batch, draft, published
from tests.prompt_store.faults import Died, DyingBackend
from tests.prompt_store.soundness import assert_sound, history

ONE, TWO = batch_id("one"), batch_id("two")


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
    while store.timeline().head < 3 * CHECKPOINT_EVERY - 1:
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
        lambda store: store.timeline().head == 3 * CHECKPOINT_EVERY,
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
    "accept again after settle": Operation(
        accept_and_settle,
        accept,
        lambda store: store.intake.pending() == [],
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_death_at_every_step(name: str) -> None:
    """Afterwards the store is sound, and doing it again gets it done exactly once."""
    operation = OPERATIONS[name]
    step, survived = 0, False
    while not survived:
        inner = MemoryBackend()
        operation.prepare(Store.on(inner))
        dying = DyingBackend(inner, step)
        try:
            operation.act(Store(dying))
            survived = True
        except Died:
            assert dying.calls.total() == step
        store = assert_sound(inner)
        if survived:
            assert operation.done(store)
        else:
            redo(operation, store)
            assert operation.done(assert_sound(inner))
        step += 1
    assert step > 1


def redo(operation: Operation, store: Store) -> None:
    """What the process's successor does: look, and act where it is not done yet."""
    before = len(history(store.backend))
    if not operation.done(store):
        operation.act(store)
    assert len(history(store.backend)) <= before + 1


def test_death_at_every_step_of_raising_the_floor() -> None:
    step, survived = 0, False
    while not survived:
        inner = MemoryBackend()
        clock = Clock()
        store = Store.on(inner, clock=clock)
        while store.timeline().head < 2 * CHECKPOINT_EVERY:
            append(store)
        before = store.timeline()
        clock.now += 2 * GRACE
        try:
            Store(DyingBackend(inner, step), clock=clock).log.raise_floor(4, keep=[2])
            survived = True
        except Died:
            pass
        again = Store.on(inner, clock=clock)
        assert again.timeline() == before
        assert [manifest.version for manifest in again.manifests(99, before=7)][:2] == [6, 5]
        again.log.raise_floor(6, keep=[2])
        assert [manifest.version for manifest in history(inner)][:2] == [2, 7]
        step += 1
    assert step > 8


def test_a_learner_that_dies_anywhere_learns_each_batch_exactly_once() -> None:
    """The learner's loop of the architecture page, killed at each step and started again."""
    step, survived = 0, False
    while not survived:
        inner = MemoryBackend()
        for identifier in (ONE, TWO):
            Store.on(inner).intake.accept(batch(identifier))
        try:
            learn(Store(DyingBackend(inner, step)))
            survived = True
        except Died:
            learn(Store.on(inner))
        store = assert_sound(inner)
        assert store.intake.pending() == []
        manifests = history(inner)
        assert sorted(b for manifest in manifests for b in manifest.batches) == sorted([ONE, TWO])
        assert sorted(b for manifest in manifests for b in manifest.decided) == sorted([ONE, TWO])
        for manifest in manifests:
            for identifier in manifest.decided:
                outcome = store.intake.outcome(identifier)
                assert outcome is not None
                assert outcome.version == manifest.version
        step += 1
    assert step > 20


def learn(store: Store) -> None:
    epoch = store.fence("learner")
    for identifier, version in store.timeline().decided.items():
        store.intake.settle(published(identifier, version))
    for identifier in store.intake.pending():
        timeline = store.timeline()
        if timeline.learnt_by(identifier) is None:
            store.append(draft(epoch=epoch, batches=(identifier,)), after=timeline.head)
    for identifier in store.timeline().undecided:
        train = draft(Kind.TRAIN, epoch, decided=(identifier,))
        version = store.append(train, after=store.timeline().head).version
        store.intake.settle(published(identifier, version))


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
