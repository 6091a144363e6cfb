from prompt_store import MemoryBackend, Store, take_census
from prompt_store.census import Size
from tests.prompt_store.keeping import content_of, references, stocked


def test_what_a_store_holds_is_counted() -> None:
    store = stocked()
    store.blobs.put(b"orphan")
    before = content_of(store.backend)
    found = take_census(store, references)
    assert (found.versions, found.live, found.tasks, found.classes) == (3, 4, 1, 2)
    assert (found.pending, found.learnt, found.failed) == (1, 1, 0)
    assert found.blobs == {"examples": Size(1, 64), "head": Size(1, 4), "image": Size(2, 40)}
    assert found.orphans == Size(1, 6)
    assert found.oldest is not None
    assert found.newest is not None
    assert found.oldest <= found.newest
    assert content_of(store.backend) == before


def test_an_empty_store_is_counted() -> None:
    found = take_census(Store.on(MemoryBackend()), references)
    assert (found.versions, found.live, found.oldest, found.blobs) == (0, None, None, {})
