"""What must hold of a store whatever happened to its writers."""

from prompt_store import Backend, Manifest, Store, Timeline, fold
from prompt_store.milestones import Milestones
from prompt_store.records import decode


def history(backend: Backend) -> list[Manifest]:
    """Every manifest, read straight from the keys."""
    keys = backend.list_after("log/")
    return [decode(Manifest, backend.read(key), key) for key in keys]


def assert_sound(backend: Backend) -> Store:
    """Open the store afresh and check its invariants; return it."""
    store = Store.on(backend)
    manifests = history(backend)
    assert [manifest.version for manifest in manifests] == list(range(1, len(manifests) + 1))
    states = [Timeline()]
    for manifest in manifests:
        states.append(fold(states[-1], manifest))
        assert all(store.blobs.get(digest) is not None for digest in manifest.blobs.values())
    assert store.timeline() == states[-1]
    checkpoints = Milestones(backend, "checkpoints", Timeline)
    newest = checkpoints.newest()
    assert newest is None or newest == states[newest.head]
    learnt = [batch for manifest in manifests for batch in manifest.batches]
    assert len(learnt) == len(set(learnt))
    for batch in store.intake.pending():
        assert store.intake.read(batch).id == batch
        assert store.intake.outcome(batch) is None
    return store
