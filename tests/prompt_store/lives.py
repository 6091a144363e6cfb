"""What a learner does with a store, in short: it may die anywhere, and another one goes on."""

from prompt_store import Kind, Store
from tests.prompt_store.drafts import append, draft, published


def learn(store: Store) -> None:
    """Learn, decide and settle every batch that waits."""
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


def forget(store: Store) -> None:
    """What a learner does about each request."""
    for erasure in store.erasures.pending():
        since = store.manifests(store.timeline().head - erasure.after)
        if not any(manifest.metrics.get("erasure") == erasure.id for manifest in since):
            append(store, Kind.FORGET, metrics={"erasure": erasure.id})
        store.erasures.settle(erasure)
