"""What an operation costs in primitive calls, however long the history is."""

import pytest

from prompt_store import Kind, MemoryBackend, Store
from prompt_store.log import CHECKPOINT_EVERY
from tests.prompt_store.drafts import append, batch
from tests.prompt_store.faults import CountingBackend

ENTRIES = 2000


@pytest.fixture(scope="module")
def long() -> MemoryBackend:
    backend = MemoryBackend()
    store = Store.on(backend)
    blob = store.blobs.put(b"head")
    for number in range(ENTRIES - 1):
        append(store, Kind.TRAIN if number % 7 else Kind.FENCE, **_content(number, blob))
    return backend


def _content(number: int, blob: str) -> dict[str, dict[str, str]]:
    return {"blobs": {"head": blob}} if number % 7 else {}


def opened(backend: MemoryBackend) -> tuple[Store, CountingBackend]:
    counted = CountingBackend(backend)
    store = Store.on(counted)
    store.timeline()
    return store, counted


def test_opening_reads_a_bounded_number_of_objects(long: MemoryBackend) -> None:
    store, counted = opened(long)
    assert store.timeline().head >= ENTRIES - 1
    # The probe, the format, one checkpoint, the entries after it, and one that is not there.
    assert counted.calls["read"] <= 4 + CHECKPOINT_EVERY
    assert counted.calls["list"] == 2
    assert counted.calls.total() <= 12 + CHECKPOINT_EVERY
    assert len(list(long.list_after("checkpoints/"))) == 2


def test_a_poll_with_nothing_new_is_one_read(long: MemoryBackend) -> None:
    store, counted = opened(long)
    counted.calls.clear()
    store.timeline()
    assert counted.calls == {"read": 1}


def test_finding_and_reading_live_is_at_most_one_read_more(long: MemoryBackend) -> None:
    store, counted = opened(long)
    counted.calls.clear()
    live = store.timeline().live
    assert live is not None
    store.manifest(live)
    store.manifest(live)
    assert counted.calls["read"] <= 2


def test_listing_a_page_reads_a_page(long: MemoryBackend) -> None:
    store, counted = opened(long)
    counted.calls.clear()
    assert len(store.manifests(10, before=1000)) == 10
    assert counted.calls["read"] == 11
    assert counted.calls["list"] == 1


def test_committing_costs_the_same_after_two_thousand_entries(long: MemoryBackend) -> None:
    def cost(backend: MemoryBackend) -> dict[str, int]:
        store, counted = opened(backend)
        blob = store.blobs.put(b"head")
        counted.calls.clear()
        append(store, blobs={"head": blob})
        return dict(counted.calls)

    short = MemoryBackend()
    append(Store.on(short))
    assert cost(long) == cost(short) == {"read": 1, "exists": 1, "create": 1, "list": 1}


def test_accepting_a_batch_is_three_calls(long: MemoryBackend) -> None:
    store, counted = opened(long)
    counted.calls.clear()
    store.intake.accept(batch())
    assert counted.calls == {"create": 1, "read": 2}
