from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from prompt_store import (
    Backend,
    BodyMismatch,
    CorruptRecord,
    Example,
    Intake,
    MemoryBackend,
    NotFound,
    Outcome,
    batch_id,
)
from tests.prompt_store.drafts import batch, published
from tests.prompt_store.faults import CountingBackend

ONE = batch_id("one")


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def intake(backend: MemoryBackend) -> Intake:
    return Intake(backend)


def test_a_batch_is_accepted_once_and_read_back(intake: Intake, backend: MemoryBackend) -> None:
    given = batch(ONE)
    assert intake.accept(given)
    assert not intake.accept(given)
    assert Intake(backend).read(ONE) == given
    assert intake.pending() == [ONE]
    assert intake.outcome(ONE) is None


def test_the_same_id_with_another_body_is_refused_before_and_after_settling(
    intake: Intake,
) -> None:
    intake.accept(batch(ONE))
    with pytest.raises(BodyMismatch, match=ONE):
        intake.accept(batch(ONE, body="other"))
    intake.settle(published(ONE))
    with pytest.raises(BodyMismatch, match=ONE):
        intake.accept(batch(ONE, body="other"))
    assert not intake.accept(batch(ONE))
    assert intake.pending() == []


def test_settling_ends_a_batch_and_the_first_outcome_stays(intake: Intake) -> None:
    intake.accept(batch(ONE))
    intake.settle(published(ONE, version=3))
    intake.settle(published(ONE, version=4))
    intake.settle(Outcome(batch=ONE, task="mail", status="failed", error="late"))
    assert intake.outcome(ONE) == published(ONE, version=3)
    assert intake.pending() == []
    with pytest.raises(NotFound, match="its version holds it"):
        intake.read(ONE)


def test_what_was_never_accepted(intake: Intake) -> None:
    assert intake.outcome(ONE) is None
    with pytest.raises(NotFound):
        intake.read(ONE)
    with pytest.raises(NotFound, match="never accepted"):
        intake.settle(published(ONE))
    assert intake.pending() == []


@pytest.mark.parametrize("name", ["", "x", "../../format", ONE.lower(), ONE + "0", ONE + "\n"])
def test_malformed_ids_are_no_batches(intake: Intake, name: str) -> None:
    assert intake.outcome(name) is None
    with pytest.raises(NotFound):
        intake.read(name)


def test_pending_lists_all_that_are_open(intake: Intake) -> None:
    ids = [batch_id() for _ in range(20)]
    for identifier in ids:
        intake.accept(batch(identifier))
    for identifier in ids[::3]:
        intake.settle(published(identifier))
    assert intake.pending() == sorted(set(ids) - set(ids[::3]))
    assert intake.settled_among(ids) == tuple(ids[::3])


def test_a_pending_record_left_by_a_writer_that_died_is_cleared(
    intake: Intake, backend: MemoryBackend
) -> None:
    key = f"intake/pending/{ONE}.json"
    intake.accept(batch(ONE))
    data = backend.read(key)
    intake.settle(published(ONE))
    backend.create(key, data)
    with pytest.raises(NotFound):
        intake.read(ONE)
    assert intake.pending() == []
    assert not backend.exists(key)


class Interleaved(CountingBackend):
    """Lets another process act right before the first create or the first read of a pending one."""

    def __init__(self, inner: Backend, call: str, act: Callable[[], Any]) -> None:
        super().__init__(inner)
        self.call = call
        self.act: Callable[[], Any] | None = act

    def create(self, key: str, data: bytes) -> None:
        self._interleave("create", key)
        super().create(key, data)

    def read(self, key: str) -> bytes:
        self._interleave("read", key)
        return super().read(key)

    def _interleave(self, call: str, key: str) -> None:
        if self.act and call == self.call and "/pending/" in key:
            act, self.act = self.act, None
            act()


@pytest.mark.parametrize("body", ["body", "other"])
def test_accept_that_a_settle_overtakes_leaves_nothing_pending(
    intake: Intake, backend: MemoryBackend, body: str
) -> None:
    def accept_and_settle() -> None:
        intake.accept(batch(ONE))
        intake.settle(published(ONE))

    late = Intake(Interleaved(backend, "create", accept_and_settle))
    if body == "body":
        assert not late.accept(batch(ONE))
    else:
        with pytest.raises(BodyMismatch):
            late.accept(batch(ONE, body=body))
    assert list(backend.list_after("intake/pending/")) == []
    assert intake.outcome(ONE) == published(ONE)


def test_a_twin_may_settle_a_batch_before_its_creator_returns(
    intake: Intake, backend: MemoryBackend
) -> None:
    """Both get False then: True is never given twice, and the outcome is there."""

    class Overtaken(CountingBackend):
        def after(self, call: str) -> None:
            assert not intake.accept(batch(ONE))
            intake.settle(published(ONE))

    assert not Intake(Overtaken(backend)).accept(batch(ONE))
    assert intake.outcome(ONE) == published(ONE)
    assert list(backend.list_after("intake/pending/")) == []


def test_accept_whose_twin_is_settled_under_its_eyes(
    intake: Intake, backend: MemoryBackend
) -> None:
    """The create finds a pending record, and before it is read the batch is settled."""
    intake.accept(batch(ONE))
    late = Intake(Interleaved(backend, "read", lambda: intake.settle(published(ONE))))
    assert not late.accept(batch(ONE))
    assert intake.pending() == []


def test_two_settles_at_once(intake: Intake, backend: MemoryBackend) -> None:
    intake.accept(batch(ONE))
    late = Intake(Interleaved(backend, "read", lambda: intake.settle(published(ONE, 1))))
    late.settle(published(ONE, 2))
    assert intake.outcome(ONE) == published(ONE, 1)


@pytest.mark.parametrize("settled", [False, True])
def test_damaged_records_are_refused(intake: Intake, backend: MemoryBackend, settled: bool) -> None:
    intake.accept(batch(ONE))
    if settled:
        intake.settle(published(ONE))
    key = f"intake/{'settled' if settled else 'pending'}/{ONE}.json"
    data = backend.read(key)
    backend.delete(key)
    backend.create(key, data[: len(data) // 2])
    with pytest.raises(CorruptRecord, match=key):
        intake.outcome(ONE) if settled else intake.read(ONE)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": "a", "image": "a" * 64},
        {"text_pair": "b", "image": "a" * 64},
        {"image": "no digest"},
        {"id": "", "text": "a"},
        {"label": "", "text": "a"},
    ],
)
def test_an_example_is_one_labelled_input(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Example(**{"id": "0", "label": "x", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "published"},
        {"status": "failed"},
        {"status": "queued"},
        {"status": "failed", "error": ""},
    ],
)
def test_an_outcome_says_why(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Outcome(**{"batch": ONE, "task": "mail", **fields})
