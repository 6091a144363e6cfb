"""A sweep beside writers that rely on what it is about to delete, in every order of their steps."""

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_store import (
    Backend,
    MemoryBackend,
    NotFound,
    Retention,
    RetentionConfig,
    Store,
    audit_store,
    digest_of,
)
from prompt_store.log import GRACE
from tests.prompt_store.drafts import Clock
from tests.prompt_store.keeping import QUEUED, content_of, live, references, with_image
from tests.prompt_store.turns import Process, take_turns

CONTENT = b"what was needed once and is needed again"
DIGEST = digest_of(CONTENT)
HEAD = "head/mail"

Work = Callable[[Backend], None]


def condemned(clock: Clock) -> MemoryBackend:
    """A store whose one orphan is due."""
    backend = MemoryBackend()
    for key, data in _condemned().items():
        backend.create(key, data)
    clock.now += 1.5 * GRACE
    return backend


@cache
def _condemned() -> dict[str, bytes]:
    store = Store.on(MemoryBackend(), clock=Clock())
    live(store)
    store.blobs.put(CONTENT)
    rounds(store).run()
    return content_of(store.backend)


def rounds(store: Store) -> Retention:
    config = RetentionConfig(versions=1, grace_seconds=GRACE)
    return Retention(store, references, "examples/", config)


def sweeps(clock: Clock) -> Work:
    def work(backend: Backend) -> None:
        rounds(Store(backend, clock=clock)).run()

    return work


def puts_and_commits(clock: Clock) -> Work:
    def work(backend: Backend) -> None:
        store = Store(backend, clock=clock)
        commit(store, lambda: store.blobs.put(CONTENT))

    return work


def commits_what_it_knows(clock: Clock) -> Work:
    """Its content was put by another process: it has nothing but the digest, at first."""

    def work(backend: Backend) -> None:
        store = Store(backend, clock=clock)
        try:
            live(store, blobs={HEAD: DIGEST})
        except NotFound:
            commit(store, lambda: store.blobs.put(CONTENT))

    return work


def commit(store: Store, put: Callable[[], str]) -> None:
    """As a learner does: what a sweep has taken is put again."""
    while True:
        try:
            live(store, blobs={HEAD: put()})
        except NotFound:
            continue
        return


def accepts_an_image(clock: Clock) -> Work:
    def work(backend: Backend) -> None:
        store = Store(backend, clock=clock)
        store.intake.accept(with_image(QUEUED, store.blobs.put(CONTENT)))

    return work


WRITERS = (puts_and_commits, commits_what_it_knows, accepts_an_image)


def assert_nothing_is_lost(backend: MemoryBackend, clock: Clock) -> None:
    """Now, and after whatever else sweeps do."""
    store = Store(backend, clock=clock)
    for _ in range(3):
        assert store.blobs.get(DIGEST) == CONTENT
        rounds(store).run()
        clock.now += 1.5 * GRACE
    assert audit_store(backend, references).faults == ()


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_each_stops_once_anywhere_while_the_other_goes_on(writer: Callable[[Clock], Work]) -> None:
    """One makes some calls, the other some, the first the rest, and the other the rest."""
    clock = Clock()
    lengths = [Process(condemned(clock), work(clock)).finish() for work in (writer, sweeps)]
    orders = 0
    for first in (0, 1):
        for before in range(lengths[first] + 1):
            for between in range(1, lengths[1 - first] + 4):
                now = Clock()
                backend = condemned(now)
                processes = [Process(backend, writer(now)), Process(backend, sweeps(now))]
                processes[first].step(before)
                processes[1 - first].step(between)
                take_turns([processes[first], processes[1 - first]], [])
                assert_nothing_is_lost(backend, now)
                orders += 1
    assert orders > 100


@settings(max_examples=150, deadline=None)
@given(
    writer=st.sampled_from(WRITERS),
    order=st.lists(st.integers(0, 2), max_size=60),
)
def test_two_sweeps_and_a_writer_in_any_order(
    writer: Callable[[Clock], Work], order: list[int]
) -> None:
    clock = Clock()
    backend = condemned(clock)
    work = (writer(clock), sweeps(clock), sweeps(clock))
    take_turns([Process(backend, one) for one in work], order)
    assert_nothing_is_lost(backend, clock)


def test_a_delete_that_comes_a_grace_period_late_meets_nothing_of_use() -> None:
    """The sweeper stands still right before its delete; others end its sweep and put it again."""
    clock = Clock()
    backend = condemned(clock)
    sleeper = Process(backend, sweeps(clock))
    while sleeper.stands_before != ("delete", f"blobs/{DIGEST}"):
        sleeper.step()
    rounds(Store(backend, clock=clock)).run()
    assert not backend.exists(f"blobs/{DIGEST}")
    store = Store(backend, clock=clock)
    commit(store, lambda: store.blobs.put(CONTENT))
    sleeper.finish()
    assert not backend.exists(f"blobs/{DIGEST}")
    assert_nothing_is_lost(backend, clock)
