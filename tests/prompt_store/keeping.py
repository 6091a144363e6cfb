"""A store with a bit of everything, and what a writer does next to it."""

from collections.abc import Iterator, Mapping
from typing import Any

from prompt_store import (
    Backend,
    Batch,
    Example,
    Kind,
    MemoryBackend,
    Store,
    batch_id,
    digest_of,
)
from prompt_store.blobs import blob_key
from prompt_store.log import CHECKPOINT_EVERY, GRACE
from prompt_store.records import Record, decode, encode
from tests.prompt_store.drafts import NOON, Clock, append, batch, published

FIRST, QUEUED, LATE = (batch_id(name) for name in ("first", "queued", "late"))
EXAMPLES = "examples/mail"


def references(role: str, data: bytes) -> list[str]:
    """Of these tests: a blob of examples is the digests of its images, one a line."""
    return data.decode().split() if role == EXAMPLES else []


def with_image(identifier: str, image: str) -> Batch:
    example = Example(id="0", label="robin", image=image)
    digest = "0" * 64
    return Batch(
        id=identifier, task="birds", received_at=NOON, body_digest=digest, examples=(example,)
    )


def stocked(backend: Backend | None = None) -> Store:
    """A fence, a batch learnt, decided and settled, a rollback, a batch with an image queued."""
    store = Store.on(backend or MemoryBackend())
    image = store.blobs.put(b"an image that is kept")
    content = {EXAMPLES: store.blobs.put(image.encode()), "head/mail": store.blobs.put(b"head")}
    store.fence("learner")
    store.intake.accept(batch(FIRST))
    live(store, batches=(FIRST,), blobs=content)
    live(store, Kind.TRAIN, decided=(FIRST,), blobs=content)
    store.intake.settle(published(FIRST, 3))
    store.promote(2, "operator")
    store.intake.accept(with_image(QUEUED, store.blobs.put(b"an image that waits")))
    store.erasures.ask("mail", after=store.timeline().head)
    return store


def live(store: Store, kind: Kind = Kind.REFRESH, **fields: Any) -> int:
    """Append on top of what is live, as a learner does."""
    return append(store, kind, parent=store.timeline().live, **fields)


def next_steps(store: Store) -> Iterator[None]:
    """A learner and a client go on: one write after each `next`."""
    store.intake.accept(batch(LATE))
    yield
    content = {EXAMPLES: store.blobs.put(store.blobs.put(b"another image").encode())}
    yield
    (erasure,) = store.erasures.pending()
    live(store, batches=(QUEUED, LATE), blobs=content)
    yield
    live(store, Kind.TRAIN, decided=(LATE,), blobs=content)
    yield
    store.intake.settle(published(LATE, 6))
    yield
    live(store, Kind.TRAIN, decided=(QUEUED,), blobs=content)
    yield
    store.intake.settle(published(QUEUED, 7))
    yield
    live(store, Kind.FORGET)
    store.erasures.settle(erasure)


def aged() -> Store:
    """Three checkpoints' worth of manifests, with a blob each, and two hours later."""
    clock = Clock()
    store = Store.on(MemoryBackend(), clock=clock)
    for number in range(3 * CHECKPOINT_EVERY):
        live(store, blobs={"head/mail": store.blobs.put(b"head %d" % number)})
    clock.now += 2 * GRACE
    return store


def retention(store: Store) -> Iterator[None]:
    """Delete what is old of an aged store, but version 7."""
    store.log.raise_floor(50, keep=[7])
    for number in (*range(7 - 1), *range(7, 50)):
        store.backend.delete(blob_key(digest_of(b"head %d" % number)))
    yield


ALL = 100
CALLS = 60  # that a reader makes of the store above at most
SCHEDULES = {
    "all at once": [{call: ALL} for call in range(CALLS)],
    "one by one": [dict.fromkeys(range(call, CALLS), 1) for call in range(CALLS)],
    "learnt, then the rest": [
        {call: 3, later: ALL} for call in range(CALLS // 2) for later in range(call + 1, call + 9)
    ],
}
"""When others write: steps before a call, by its number."""


class Meanwhile:
    """A place where somebody else writes between the calls that reach it."""

    def __init__(
        self, inner: Backend, writes: Mapping[int, int], steps: Iterator[None] | None = None
    ) -> None:
        """writes: how many of the `steps` (default `next_steps`) come before which call, from 0"""
        self.inner = inner
        self.calls = 0
        self._writes = writes
        self._steps = steps or next_steps(Store(inner))

    def _others_write(self) -> None:
        for _ in range(self._writes.get(self.calls, 0)):
            next(self._steps, None)
        self.calls += 1

    def create(self, key: str, data: bytes) -> None:
        raise AssertionError("a reader writes nothing")

    def delete(self, key: str) -> None:
        raise AssertionError("a reader deletes nothing")

    def read(self, key: str) -> bytes:
        self._others_write()
        return self.inner.read(key)

    def exists(self, key: str) -> bool:
        self._others_write()
        return self.inner.exists(key)

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        self._others_write()
        return self.inner.list_after(prefix, after)


def content_of(backend: Backend) -> dict[str, bytes]:
    """Everything in a place."""
    return {key: backend.read(key) for key in backend.list_after("")}


def replace(backend: Backend, key: str, data: bytes) -> None:
    backend.delete(key)
    backend.create(key, data)


def rewrite(backend: Backend, key: str, record_type: type[Record], **changes: Any) -> None:
    """Change a record and give it the checksum of what it says now."""
    record = decode(record_type, backend.read(key), key)
    replace(backend, key, encode(record.model_copy(update=changes)))
