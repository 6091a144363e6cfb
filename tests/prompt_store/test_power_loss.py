"""A power cut before any step on the disk, in every state that it may leave."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompt_store import (
    AlreadyExists,
    Backend,
    Kind,
    NotFound,
    Store,
    audit_store,
    batch_id,
    log,
)
from prompt_store.log import GRACE
from tests.prompt_store.disks import Death, Disk, reopened
from tests.prompt_store.drafts import Clock, append, batch, published
from tests.prompt_store.faults import CountingBackend, Died
from tests.prompt_store.lives import forget, learn
from tests.prompt_store.power import Medium, State, restore_power
from tests.prompt_store.soundness import assert_sound, history, no_images

SENT = [batch_id(name) for name in ("one", "two", "three")]
Work = Callable[[Store], object]
FEW = 4  # manifests from checkpoint to checkpoint, here


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "CHECKPOINT_EVERY", FEW)


class Promising(CountingBackend):
    """Notes what its callers rely on: content by key, None where the key is gone."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._kept: dict[str, bytes | None] = {}
        self._under_way: Counter[str] = Counter()

    def promises(self) -> dict[str, bytes | None]:
        """Of what is not just being changed."""
        return {key: data for key, data in self._kept.items() if not self._under_way[key]}

    def create(self, key: str, data: bytes) -> None:
        self._under_way[key] += 1
        try:
            self.inner.create(key, data)
            self._kept[key] = data
        except AlreadyExists:
            self._kept[key] = self.inner.read(key)
            raise
        finally:
            self._under_way[key] -= 1

    def delete(self, key: str) -> None:
        self._under_way[key] += 1
        try:
            self.inner.delete(key)
            self._kept[key] = None
        finally:
            self._under_way[key] -= 1


@dataclass(frozen=True)
class Cut:
    """A state that a power cut may leave, and what was promised before."""

    state: State
    promises: Mapping[str, bytes | None]


class Recorder:
    """Watches processes that work on one disk, one after the other."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True)
        self.root = root
        self.cuts: list[Cut] = []
        self._medium = Medium()
        self._promising: Promising | None = None
        self._death = Death(10**9)

    def run(self, work: Callable[[Backend], object], dies_at: int = 10**9) -> bool:
        """One process; whether it lived to its end."""
        self._death = Death(dies_at)
        with suppress(Died), Disk(self.root, self._step).watched() as backend:
            self._promising = Promising(backend)
            work(self._promising)
            self._cut()
            return True
        return False

    def at_the_end(self) -> list[Cut]:
        """What a cut may leave now."""
        self.cuts.clear()
        self._cut()
        return self.cuts

    def _step(self, step: str, path: Path, target: Path | None) -> None:
        self._cut()
        self._death()
        self._medium.take(step, path, target)

    def _cut(self) -> None:
        promises = {} if self._promising is None else self._promising.promises()
        self.cuts += [Cut(state, promises) for state in self._medium.states()]


def different(cuts: list[Cut]) -> Iterator[Cut]:
    """Each state once for the same promises."""
    seen = set()
    for cut in cuts:
        known = (frozenset(cut.state.items()), frozenset(cut.promises.items()))
        if known not in seen:
            seen.add(known)
            yield cut


def check(cut: Cut, before: Path, after: Path, clock: Clock) -> None:
    """What was promised is there, the store is sound, and all that was sent is learnt once."""
    restore_power(cut.state, before, after)
    backend = reopened(after)
    for key, data in cut.promises.items():
        assert content_of(backend, key) == data, key
    store = assert_sound(backend, clock)
    assert audit_store(backend, no_images).faults == ()
    for identifier in SENT:  # nobody knows any more what was acknowledged, so all send again
        store.intake.accept(batch(identifier))
    learn(store)
    forget(store)
    for identifier in SENT:
        assert store.intake.outcome(identifier) is not None
    learnt = Counter(one for manifest in history(backend) for one in manifest.batches)
    assert max(learnt.values()) == 1
    assert audit_store(backend, no_images).faults == ()
    shutil.rmtree(after)


def content_of(backend: Backend, key: str) -> bytes | None:
    try:
        return backend.read(key)
    except NotFound:
        return None


@pytest.mark.slow
def test_a_power_cut_at_any_step_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    """A whole life: batches, versions, checkpoints, a request to forget, retention."""
    recorder, clock = Recorder(tmp_path / "disk"), Clock()

    def live(backend: Backend) -> None:
        store = Store.on(backend, clock=clock)
        for identifier in SENT[:2]:
            store.intake.accept(batch(identifier))
        learn(store)
        append(store, parent=store.timeline().live, blobs={"head": store.blobs.put(b"head")})
        store.blobs.put(b"head")
        store.erasures.ask("mail", after=store.timeline().head)
        forget(store)
        store.promote(2, "operator")
        while store.timeline().head < 2 * FEW:
            append(store)
        clock.now += 2 * GRACE
        store.log.raise_floor(2, keep=[])

    assert recorder.run(live)
    cuts = list(different(recorder.cuts))
    for number, cut in enumerate(cuts):
        check(cut, recorder.root, tmp_path / str(number), clock)
    assert len(cuts) > 100


def accept(store: Store) -> None:
    store.intake.accept(batch(SENT[0]))


def decide(store: Store) -> None:
    accept(store)
    append(store, batches=SENT[:1])
    append(store, Kind.TRAIN, parent=1, decided=SENT[:1])


def settle(store: Store) -> None:
    store.intake.settle(published(SENT[0], 2))


def refresh(store: Store) -> None:
    pending = store.intake.pending()
    append(store, batches=[one for one in pending if not store.timeline().learnt_by(one)])


def nothing(store: Store) -> None:
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "dying", "successor"),
    [
        pytest.param(nothing, accept, accept, id="a client sends again"),
        pytest.param(nothing, accept, refresh, id="a learner finds the batch"),
        pytest.param(decide, settle, settle, id="a learner settles again"),
        pytest.param(decide, settle, lambda store: store.intake.pending(), id="somebody looks"),
        pytest.param(decide, settle, append, id="somebody commits"),
    ],
)
def test_what_a_dead_process_left_unflushed_is_durable_before_others_rely_on_it(
    tmp_path: Path, before: Work, dying: Work, successor: Work
) -> None:
    """One process dies at a step, another does its work, then the power goes."""
    step, lived = 0, False
    while not lived:
        recorder = Recorder(tmp_path / f"{step}")
        assert recorder.run(lambda backend: before(Store.on(backend)))
        lived = recorder.run(lambda backend: dying(Store(backend)), step)
        assert recorder.run(lambda backend: successor(Store(backend)))
        for number, cut in enumerate(different(recorder.at_the_end())):
            check(cut, recorder.root, tmp_path / f"{step}-{number}", Clock())
        step += 1
    assert step > 4
