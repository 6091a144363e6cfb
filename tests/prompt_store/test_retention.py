"""Which versions stay, and that what nothing names any more goes, and nothing else."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_store import (
    Backend,
    Draft,
    Kind,
    LocalBackend,
    MemoryBackend,
    NotFound,
    Retention,
    RetentionConfig,
    Store,
    UnknownVersion,
    audit_store,
    digest_of,
    forgotten_reports,
    open_backend,
)
from prompt_store.log import GRACE
from tests.prompt_store import bucket_servers
from tests.prompt_store.bucket_servers import BUCKET
from tests.prompt_store.drafts import Clock, draft
from tests.prompt_store.faults import CountingBackend, Died, DyingBackend
from tests.prompt_store.keeping import EXAMPLES, QUEUED, live, references, with_image

HEAD = "head/mail"
A_WHILE = 1.5 * GRACE


@pytest.fixture(params=["memory", "local", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
    elif request.param == "local":
        yield LocalBackend(tmp_path / "store", fsync=lambda _: None)
    else:
        with bucket_servers.s3() as environment, bucket_servers.set_in(environment):
            yield open_backend(f"s3://{BUCKET}/{secrets.token_hex(8)}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store.on(MemoryBackend(), clock=clock)


def retention(store: Store, versions: int = 2) -> Retention:
    config = RetentionConfig(versions=versions, grace_seconds=GRACE)
    return Retention(store, references, "examples/", config)


def learn(store: Store, what: str, kind: Kind = Kind.REFRESH, **fields: int) -> int:
    """A version with an image of its own, which its examples name, and a head of its own."""
    image = store.blobs.put(f"image of {what}".encode())
    content = {
        EXAMPLES: store.blobs.put(image.encode()),
        HEAD: store.blobs.put(f"head of {what}".encode()),
    }
    return live(store, kind, blobs=content, **fields)


def blobs_of(*versions: str) -> set[str]:
    images = [digest_of(f"image of {what}".encode()) for what in versions]
    heads = [digest_of(f"head of {what}".encode()) for what in versions]
    return {*images, *heads, *(digest_of(image.encode()) for image in images)}


def kept(store: Store) -> list[int]:
    return [manifest.version for manifest in reversed(store.manifests(1000))]


def later(clock: Clock, rounds: Retention, times: int = 3) -> None:
    """Rounds with more than a grace period between them."""
    for _ in range(times):
        clock.now += A_WHILE
        while rounds.run().more:
            pass


def assert_clean(store: Store) -> None:
    audit = audit_store(store.backend, references)
    assert audit.faults == ()
    assert audit.orphans == ()


def test_the_last_versions_stay_and_the_others_go_with_their_blobs(backend: Backend) -> None:
    clock = Clock()
    store = Store.on(backend, clock=clock)
    store.fence("learner")
    for number in range(5):
        learn(store, str(number))
    store.intake.accept(with_image(QUEUED, store.blobs.put(b"an image that waits")))
    rounds = retention(store)
    assert rounds.run().dropped == ()  # all are young
    clock.now += A_WHILE
    told = rounds.run()
    assert told.dropped == (1, 2, 3, 4)
    assert (told.condemned, told.erased) == (9, 0)
    assert len(store.blobs.digests()) == 16
    assert kept(Store.on(backend, clock=clock)) == [5, 6]
    clock.now += A_WHILE
    assert rounds.run().erased == 9
    waits = digest_of(b"an image that waits")
    assert set(store.blobs.digests()) == {*blobs_of("3", "4"), waits}
    with pytest.raises(UnknownVersion):
        store.promote(2, "operator")  # also where it is remembered
    assert_clean(store)
    clock.now += A_WHILE
    rounds.run()
    assert list(backend.list_after("condemned/")) == []


def test_live_its_parent_pins_and_open_batches_stay(store: Store, clock: Clock) -> None:
    first = learn(store, "first")
    second = learn(store, "second")
    for number in range(6):
        learn(store, str(number))
    store.pin(second)
    rolled_back = store.promote(first, "operator").version
    clock.now += A_WHILE
    retention(store, versions=1).run()
    assert kept(store) == [second, rolled_back - 1, rolled_back]
    store.pins.unpin(second)
    learn(store, "next")
    assert second in kept(store)
    clock.now += A_WHILE
    learn(store, "last")
    retention(store, versions=1).run()
    assert second not in kept(store)
    with pytest.raises(UnknownVersion):
        store.pin(second)
    assert store.pins.all() == frozenset()


def test_what_an_open_batch_or_request_looks_back_at_stays(store: Store, clock: Clock) -> None:
    learn(store, "first")
    opened = with_image(QUEUED, store.blobs.put(b"an image that waits"))
    store.intake.accept(opened)
    learnt = live(store, batches=(QUEUED,))
    for number in range(4):
        learn(store, str(number))
    clock.now += A_WHILE
    retention(store, versions=1).run()
    assert kept(store) == list(range(learnt, learnt + 5))
    live(store, Kind.TRAIN, decided=(QUEUED,))
    asked = store.erasures.ask("mail", after=store.timeline().head)
    learn(store, "more")
    learn(store, "newest")
    clock.now += A_WHILE
    retention(store, versions=1).run()
    assert min(number for number in kept(store) if number > learnt) <= asked.after + 1
    assert asked.after + 1 in kept(store)


def test_candidates_stay_as_long_as_the_versions_beside_them(store: Store, clock: Clock) -> None:
    for number in range(4):
        learn(store, str(number))
        learn(store, f"candidate {number}", Kind.CANDIDATE)
    clock.now += A_WHILE
    retention(store, versions=2).run()
    assert kept(store) == [5, 6, 7, 8]


def test_forgetting_ends_retention_also_of_pinned_versions(store: Store, clock: Clock) -> None:
    learn(store, "mail")
    learn(store, "birds")
    store.pin(1)
    forget = learn(store, "birds", Kind.FORGET)
    again = store.promote(2, "operator").version  # brings what was forgotten back
    after = store.promote(forget, "operator").version
    rounds = retention(store, versions=50)
    rounds.run()
    assert kept(store) == [1, 2, forget, again, after]
    clock.now += A_WHILE
    told = rounds.run()
    assert told.forgetting == {forget: (1, 2, again)}
    assert kept(store) == [forget, after]
    assert store.pins.all() == frozenset()
    (planned,) = forgotten_reports(store.backend)
    assert (planned.forget, planned.versions, planned.blobs) == (forget, (1, 2, again), 3)
    assert planned.bytes == len("image of mail" + "head of mail") + 64
    assert planned.erased_at is None
    later(clock, rounds, 2)
    assert set(store.blobs.digests()) == blobs_of("birds")
    (report,) = forgotten_reports(store.backend)
    assert report.model_copy(update={"erased_at": None}) == planned
    assert report.erased_at is not None
    held = b"".join(store.backend.read(key) for key in store.backend.list_after("forgotten/"))
    assert not any(digest.encode() in held for digest in blobs_of("mail"))
    assert_clean(store)


def test_a_forget_on_a_log_that_stands_still(store: Store, clock: Clock) -> None:
    learn(store, "mail")
    forget = learn(store, "nothing", Kind.FORGET)
    later(clock, retention(store))
    assert kept(store) == [forget]
    assert set(store.blobs.digests()) == blobs_of("nothing")


def test_what_serves_stays_although_it_was_forgotten(store: Store, clock: Clock) -> None:
    learn(store, "mail")
    learn(store, "nothing", Kind.FORGET)
    live_one = store.promote(1, "operator").version
    later(clock, retention(store))
    assert live_one in kept(store)
    assert blobs_of("mail") <= set(store.blobs.digests())
    (report,) = forgotten_reports(store.backend)
    assert (report.versions, report.blobs) == ((1,), 0)


def test_every_forget_is_reported_once_also_where_nothing_was_left(
    store: Store, clock: Clock
) -> None:
    forgets = [learn(store, "nothing", Kind.FORGET) for _ in range(3)]
    later(clock, retention(store), 4)
    reports = forgotten_reports(store.backend)
    assert [report.forget for report in reports] == forgets
    assert all(report.erased_at is not None for report in reports)


def test_a_preview_writes_nothing_and_tells_what_will_go(store: Store, clock: Clock) -> None:
    for number in range(4):
        learn(store, str(number))
    store.blobs.put(b"orphan")
    clock.now += A_WHILE
    before = list(store.backend.list_after(""))
    seen = retention(store).preview()
    assert list(store.backend.list_after("")) == before
    told = retention(store).run()
    assert (seen.dropped, seen.condemned) == (told.dropped, told.condemned) == ((1, 2), 7)
    assert seen.condemned_bytes == told.condemned_bytes


def test_a_round_is_bounded_and_says_whether_there_is_more(store: Store, clock: Clock) -> None:
    for number in range(10):
        store.blobs.put(b"%d" % number)
    rounds = retention(store)
    counts = [rounds.run(most=4) for _ in range(3)]
    assert [(told.condemned, told.more) for told in counts] == [(4, True), (4, True), (2, False)]
    clock.now += A_WHILE
    counts = [rounds.run(most=4) for _ in range(3)]
    assert [(told.erased, told.more) for told in counts] == [(4, True), (4, True), (2, False)]


def test_nothing_goes_where_it_is_unknown_what_is_needed(store: Store, clock: Clock) -> None:
    learn(store, "mail")
    store.blobs.put(b"orphan")
    rounds = retention(store)
    rounds.run()
    clock.now += A_WHILE
    store.backend.delete(f"blobs/{store.manifest(1).blobs[EXAMPLES]}")
    with pytest.raises(NotFound):
        retention(store).run()
    assert store.blobs.exists(digest_of(b"orphan"))


class Slow(CountingBackend):
    """Stands still for hours before it deletes."""

    def __init__(self, inner: Backend, clock: Clock) -> None:
        super().__init__(inner)
        self._clock = clock

    def delete(self, key: str) -> None:
        super().delete(key)
        self._clock.now += GRACE


def test_a_sweeper_that_stood_still_looks_again(store: Store, clock: Clock) -> None:
    for number in range(3):
        store.blobs.put(b"%d" % number)
    retention(store).run()
    clock.now += A_WHILE
    assert retention(Store(Slow(store.backend, clock), clock=clock)).run().erased == 1


def test_death_at_every_step_leaves_a_sound_store_and_is_gone_on_from() -> None:
    """Of three rounds that drop for two reasons, condemn, erase and report."""
    step, survived = 0, False
    while not survived:
        inner, clock = MemoryBackend(), Clock()
        store = Store.on(inner, clock=clock)
        learn(store, "1")
        learn(store, "2", Kind.FORGET)
        learn(store, "last")
        dying = DyingBackend(inner, step)
        try:
            later(clock, retention(Store(dying, clock=clock)))
            survived = True
        except Died:
            audit = audit_store(inner, references)
            assert audit.faults == ()
        again = Store.on(inner, clock=clock)
        learn(again, "last")
        later(clock, retention(again))
        assert set(again.blobs.digests()) == blobs_of("last", "2")  # 2: training goes on from there
        assert [report.forget for report in forgotten_reports(inner)] == [2]
        assert_clean(again)
        step += 1
    assert step > 60


def test_a_blob_that_waits_for_its_end_is_kept_by_who_needs_it_again(
    store: Store, clock: Clock
) -> None:
    digest = store.blobs.put(b"content")
    rounds = retention(store)
    rounds.run()
    clock.now += A_WHILE
    assert store.blobs.put(b"content") == digest
    live(store, blobs={HEAD: digest})
    later(clock, rounds)
    assert store.blobs.get(digest) == b"content"
    assert list(store.backend.list_after("condemned/")) == []
    live(store)
    live(store)
    later(clock, rounds, 5)
    assert store.blobs.digests() == []


def test_a_dropped_version_comes_not_back_with_blobs_that_are_about_to_go(
    store: Store, clock: Clock
) -> None:
    """Who knows a digest and not its content copies it, or learns that it is gone."""
    learn(store, "mail")
    old = dict(store.manifest(1).blobs)
    learn(store, "a")
    learn(store, "b")
    rounds = retention(store)
    later(clock, rounds, 1)
    entry = Draft(**{**dict(draft()), "parent": 3, "blobs": old})
    version = Store(store.backend, clock=clock).append(entry, after=3).version
    later(clock, rounds)
    assert store.blobs.get(old[HEAD]) == b"head of mail"
    assert_clean(store)
    assert version == 4
    learn(store, "c")
    learn(store, "d")
    later(clock, rounds, 5)
    with pytest.raises(NotFound, match="put it before"):
        store.append(Draft(**{**dict(draft()), "parent": 6, "blobs": old}), after=6)
