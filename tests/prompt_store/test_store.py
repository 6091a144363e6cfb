import re
import threading
from pathlib import Path

import pytest

import prompt_store
from prompt_store import (
    Backend,
    Conflict,
    CorruptRecord,
    InvalidDraft,
    Kind,
    LocalBackend,
    MemoryBackend,
    NotFound,
    Store,
    UnknownVersion,
    UnsafeBackend,
    UnsupportedFormat,
    batch_id,
    digest_of,
)
from prompt_store.errors import StoreError
from tests.prompt_store.drafts import append, batch, draft, published
from tests.prompt_store.faults import (
    CountingBackend,
    IgnoringBackend,
    LateBackend,
    OverwritingBackend,
)
from tests.prompt_store.soundness import assert_sound, history


@pytest.fixture
def store() -> Store:
    return Store.on(MemoryBackend())


def test_the_public_names_exist_and_every_error_is_public() -> None:
    assert prompt_store.__all__ == sorted(prompt_store.__all__)
    for name in prompt_store.__all__:
        assert getattr(prompt_store, name)
    errors = {error.__name__ for error in _below(StoreError)} | {"StoreError"}
    assert errors <= set(prompt_store.__all__)
    drawn = re.findall(r"\b[A-Z]\w+", str(prompt_store.errors.__doc__))
    assert errors <= set(drawn)


def _below(error: type[Exception]) -> set[type[Exception]]:
    return {found for child in error.__subclasses__() for found in {child, *_below(child)}}


def test_a_folder_is_created_once_and_opened_again(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "store")
    version = append(first, blobs={"head": first.blobs.put(b"head")})
    again = Store.open(f"file://{tmp_path}/store")
    assert again.timeline().live == version
    assert again.blobs.get(again.manifest(version).blobs["head"]) == b"head"
    assert list(again.backend.list_after("probe/")) == []
    assert (tmp_path / "store" / "format.json").exists()


def test_memory_stores_are_shared_by_name() -> None:
    append(Store.open("memory://shared"))
    assert Store.open("memory://shared").timeline().head == 1
    assert Store.open("memory://private").timeline().head == 0


@pytest.mark.parametrize("unsafe", [OverwritingBackend, IgnoringBackend, LateBackend])
def test_a_backend_that_is_not_exclusive_is_refused_and_left_alone(
    unsafe: type[CountingBackend],
) -> None:
    inner = MemoryBackend()
    with pytest.raises(UnsafeBackend, match="created twice"):
        Store.on(unsafe(inner))
    assert list(inner.list_after("")) == []


@pytest.mark.parametrize(
    ("content", "error"),
    [(b'{"format":2}', UnsupportedFormat), (b"", CorruptRecord), (b'{"format":1}', CorruptRecord)],
)
def test_an_unknown_layout_is_refused(content: bytes, error: type[StoreError]) -> None:
    backend = MemoryBackend()
    backend.create("format.json", content)
    with pytest.raises(error, match=r"format\.json"):
        Store.on(backend)


def test_opening_at_once_is_fine(tmp_path: Path) -> None:
    opened: list[Store] = []
    threads = [
        threading.Thread(target=lambda: opened.append(Store.open(tmp_path))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    assert len({store.backend.read("format.json") for store in opened}) == 1


def test_append_refuses_blobs_that_are_not_there(store: Store) -> None:
    absent = digest_of(b"never put")
    with pytest.raises(NotFound, match=f"'head', {absent}"):
        append(store, blobs={"head": absent})
    assert store.timeline().head == 0


def test_fences_count_up_and_say_what_is_live(store: Store) -> None:
    assert store.fence("learner-1") == 1
    live = append(store)
    assert store.fence("learner-2") == 2
    timeline = store.timeline()
    assert (timeline.live, timeline.epoch) == (live, 2)
    assert store.manifest(timeline.head).parent == live


class Contended(CountingBackend):
    """Another writer commits right before each of our first three commits."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.other = Store(inner)
        self.left = 3

    def create(self, key: str, data: bytes) -> None:
        if key.startswith("log/") and self.left:
            self.left -= 1
            append(self.other, Kind.FENCE)
        super().create(key, data)


def test_fence_and_promote_try_again_after_a_conflict() -> None:
    inner = MemoryBackend()
    first = append(Store.on(inner))
    assert Store(Contended(inner)).fence("late") == 4
    promoted = Store(Contended(inner)).promote(first, "late")
    assert (promoted.version, promoted.epoch) == (9, 7)
    assert_sound(inner)


def test_promote_after_what_was_seen_conflicts_with_whatever_came_since(store: Store) -> None:
    seen = append(store)
    assert store.promote(seen, "operator", after=seen).kind is Kind.PROMOTE
    newer = append(store)
    with pytest.raises(Conflict):
        store.promote(seen, "operator", after=seen)
    assert store.timeline().live == newer


def test_promote_copies_the_content_under_a_new_number(store: Store) -> None:
    one, two = batch_id("one"), batch_id("two")
    head = store.blobs.put(b"old head")
    old = append(store, blobs={"head": head}, labels=("mail/old",), batches=(one,))
    append(store, Kind.TRAIN, decided=(one,), batches=(two,), metrics={"loss": 0.1})
    rolled = store.promote(old, "operator")
    assert rolled.kind is Kind.ROLLBACK
    assert (rolled.source, rolled.parent, rolled.writer) == (old, 2, "operator")
    assert (rolled.labels, rolled.blobs) == (("mail/old",), {"head": head})
    assert (rolled.method, rolled.backbone) == (store.manifest(old).method, "fingerprint")
    assert rolled.tasks == store.manifest(old).tasks
    assert (rolled.batches, rolled.decided, rolled.metrics, rolled.gate) == ((), (), {}, None)
    timeline = store.timeline()
    assert (timeline.live, timeline.lineage) == (rolled.version, rolled.version)
    assert timeline.undecided == {two: 2}  # a rollback forgets no batch


def test_a_refused_candidate_can_be_promoted_by_hand(store: Store) -> None:
    live = append(store)
    waiting = batch_id()
    append(store, batches=(waiting,))
    candidate = append(store, Kind.CANDIDATE, decided=(waiting,))
    assert store.timeline().live == live + 1
    promoted = store.promote(candidate, "operator")
    assert promoted.kind is Kind.PROMOTE
    assert promoted.decided == ()
    assert store.timeline().live == promoted.version


def test_a_fence_or_an_unknown_version_cannot_be_promoted(store: Store) -> None:
    store.fence("learner")
    with pytest.raises(InvalidDraft, match="fence"):
        store.promote(1, "operator")
    with pytest.raises(UnknownVersion):
        store.promote(2, "operator")


def test_a_version_whose_blobs_are_gone_cannot_be_promoted(store: Store) -> None:
    digest = store.blobs.put(b"head")
    version = append(store, blobs={"head": digest})
    store.backend.delete(f"blobs/{digest}")
    with pytest.raises(NotFound, match=digest):
        store.promote(version, "operator")


def test_manifests_lists_the_newest_first(store: Store) -> None:
    for _ in range(4):
        append(store)
    assert [manifest.version for manifest in store.manifests(2)] == [4, 3]
    assert [manifest.version for manifest in store.manifests(9, before=3)] == [2, 1]


def test_the_log_forgets_decided_batches_once_they_are_settled(store: Store) -> None:
    """Exactly once across a crash between commit and settle, in bounded space."""
    one, two = batch_id("one"), batch_id("two")
    for identifier in (one, two):
        store.intake.accept(batch(identifier))
    append(store, batches=(one, two))
    decided = append(store, Kind.TRAIN, decided=(one, two))
    store.intake.settle(published(one, decided))  # and here the learner dies
    restarted = Store.on(store.backend)
    timeline = restarted.timeline()
    assert [timeline.learnt_by(batch) for batch in restarted.intake.pending()] == [decided]
    restarted.fence("restarted")
    assert restarted.timeline().decided == {two: decided}
    restarted.intake.settle(published(two, decided))
    append(restarted)
    assert restarted.timeline().decided == {}
    assert store.timeline() == restarted.timeline()


def test_threads_share_one_store(store: Store) -> None:
    """Each thread appends until it has its own entries; polls go on meanwhile."""

    def work(name: str) -> None:
        for _ in range(20):
            while True:
                try:
                    store.append(draft(writer=name), after=store.timeline().head)
                    break
                except Conflict:
                    continue

    threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writers = [manifest.writer for manifest in history(store.backend)]
    assert sorted(writers) == sorted(f"thread {n}" for n in range(4) for _ in range(20))
    assert_sound(store.backend)


def test_a_store_refuses_to_run_on_a_folder_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        Store.on(LocalBackend(tmp_path / "file"))


def test_what_the_parent_keeps_is_not_looked_for_again() -> None:
    counting = CountingBackend(MemoryBackend())
    store = Store.on(counting)
    blobs = {f"role-{i}": store.blobs.put(bytes([i])) for i in range(20)}
    first = append(store, blobs=blobs)
    before = counting.calls["exists"]
    append(store, blobs=blobs, parent=first)
    assert counting.calls["exists"] - before < len(blobs)
