"""What a process does that races with others to append."""

from prompt_store import Conflict, Store
from tests.prompt_store.drafts import draft


def append_entries(url: str, writer: str, count: int) -> list[int]:
    """Append entries, trying again after each conflict; return their versions."""
    store = Store.open(url)
    return [_append(store, writer, number) for number in range(count)]


def _append(store: Store, writer: str, number: int) -> int:
    blob = store.blobs.put(f"{writer} {number}".encode())
    entry = draft(writer=writer, metrics={"n": number}, blobs={"head": blob})
    while True:
        try:
            return store.append(entry, after=store.timeline().head).version
        except Conflict:
            continue
