"""Processes that race on one folder, and processes that are killed in the middle."""

import os
import select
from functools import partial
from pathlib import Path

import pytest

from prompt_store import Conflict, FencedOut, Kind, Store, batch_id
from tests.prompt_store.drafts import append, batch, draft, published
from tests.prompt_store.forks import fork, kill, wait
from tests.prompt_store.soundness import assert_sound, history

ENTRIES = 50
KILLS = 10


def append_entries(folder: Path, writer: str, acknowledgements: int) -> None:
    """Append ENTRIES entries, trying again after each conflict, and report each one."""
    store = Store.open(folder)
    for number in range(ENTRIES):
        blob = store.blobs.put(f"{writer} {number}".encode())
        while True:
            entry = draft(writer=writer, metrics={"n": number}, blobs={"head": blob})
            try:
                version = store.append(entry, after=store.timeline().head).version
                break
            except Conflict:
                continue
        os.write(acknowledgements, f"{writer} {number} {version}\n".encode())


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_racing_to_append_make_one_dense_history(tmp_path: Path, processes: int) -> None:
    reports, acknowledgements = os.pipe()
    names = [f"writer-{number}" for number in range(processes)]
    children = [fork(partial(append_entries, tmp_path, name, acknowledgements)) for name in names]
    os.close(acknowledgements)
    with os.fdopen(reports) as lines:
        acknowledged = sorted(line.strip() for line in lines)
    assert [wait(child) for child in children] == [0] * processes
    manifests = history(assert_sound(Store.open(tmp_path).backend).backend)
    assert len(manifests) == processes * ENTRIES
    assert acknowledged == sorted(
        f"{manifest.writer} {manifest.metrics['n']} {manifest.version}" for manifest in manifests
    )
    for name in names:
        own = [manifest.metrics["n"] for manifest in manifests if manifest.writer == name]
        assert own == list(range(ENTRIES))


def test_learners_racing_to_fence_leave_one(tmp_path: Path) -> None:
    """Every fence gives another epoch, and only the newest learner commits afterwards."""
    reports, epochs = os.pipe()

    def learn() -> None:
        store = Store.open(tmp_path)
        for _ in range(10):
            epoch = store.fence("learner")
            os.write(epochs, f"{epoch}\n".encode())
            try:
                store.append(draft(epoch=epoch), after=store.timeline().head)
            except (FencedOut, Conflict):
                continue

    children = [fork(learn) for _ in range(3)]
    os.close(epochs)
    with os.fdopen(reports) as lines:
        given = sorted(int(line) for line in lines)
    assert [wait(child) for child in children] == [0, 0, 0]
    assert given == list(range(1, 31))
    newest = 0
    for manifest in history(assert_sound(Store.open(tmp_path).backend).backend):
        assert manifest.epoch == newest + (manifest.kind is Kind.FENCE)
        newest = manifest.epoch


def test_processes_racing_to_accept_and_settle(tmp_path: Path) -> None:
    """Each batch is new to at most one process, and none is lost or left half-way."""
    names = [batch_id(f"batch {number}") for number in range(20)]
    reports, accepted = os.pipe()

    def work() -> None:
        store = Store.open(tmp_path)
        for name in names:
            if store.intake.accept(batch(name)):
                os.write(accepted, f"{name}\n".encode())
            store.intake.settle(published(name))

    children = [fork(work) for _ in range(3)]
    os.close(accepted)
    with os.fdopen(reports) as lines:
        new = [line.strip() for line in lines]
    assert len(new) == len(set(new))
    assert set(new) <= set(names)
    assert [wait(child) for child in children] == [0, 0, 0]
    store = assert_sound(Store.open(tmp_path).backend)
    assert store.intake.pending() == []
    assert store.intake.settled_among(names) == tuple(names)
    assert list(store.backend.list_after("intake/pending/")) == []


def endless(folder: Path, acknowledgements: int) -> None:
    """Accept, learn and settle for ever, reporting what was acknowledged."""
    store = Store.open(folder)
    while True:
        given = batch(batch_id())
        store.intake.accept(given)
        os.write(acknowledgements, f"accepted {given.id}\n".encode())
        blob = store.blobs.put(given.id.encode())
        version = append(store, batches=(given.id,), blobs={"head": blob})
        os.write(acknowledgements, f"learnt {given.id} {version}\n".encode())
        append(store, Kind.TRAIN, decided=(given.id,))
        store.intake.settle(published(given.id, version + 1))
        os.write(acknowledgements, f"settled {given.id}\n".encode())


def test_nothing_acknowledged_is_lost_to_sigkill(tmp_path: Path) -> None:
    acknowledged: list[list[str]] = []
    for round_ in range(KILLS):
        reports, acknowledgements = os.pipe()
        child = fork(partial(endless, tmp_path, acknowledgements))
        os.close(acknowledgements)
        received = b""
        while received.count(b"\n") <= round_:  # a little further in every round
            select.select([reports], [], [])
            received += os.read(reports, 4096)
        kill(child)
        with os.fdopen(reports, "rb") as rest:
            received += rest.read()
        acknowledged += [line.split() for line in received.decode().splitlines()]
        check_acknowledged(assert_sound(Store.open(tmp_path).backend), acknowledged)
    assert len(acknowledged) > KILLS * KILLS / 2


def check_acknowledged(store: Store, acknowledged: list[list[str]]) -> None:
    pending = set(store.intake.pending())
    for what, identifier, *version in acknowledged:
        assert identifier in pending or store.intake.outcome(identifier) is not None
        if what == "learnt":
            assert store.manifest(int(version[0])).batches == (identifier,)
        if what == "settled":
            assert store.intake.outcome(identifier) is not None
