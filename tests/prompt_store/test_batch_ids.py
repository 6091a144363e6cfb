import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_store import batch_id, made_at
from prompt_store.batch_ids import _clockwork
from prompt_store.fields import BATCH_ID
from tests.prompt_store.forks import fork, wait


def test_ids_rise_and_are_unique() -> None:
    ids = [batch_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(BATCH_ID, identifier) for identifier in ids)


def test_ids_carry_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time() + 1000
    monkeypatch.setattr(time, "time", lambda: now)
    first = batch_id()
    assert int.from_bytes(_decoded(first).to_bytes(16, "big")[:6], "big") == int(now * 1000)
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert batch_id() > first  # a clock that steps back


def _decoded(identifier: str) -> int:
    number = 0
    for digit in identifier:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(digit)
    return number


def test_threads_share_one_order() -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: [batch_id() for _ in range(1000)], range(4)))
    assert len({identifier for run in runs for identifier in run}) == 4000
    assert all(run == sorted(run) for run in runs)


def test_a_child_forked_while_the_lock_is_held_gets_ids_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time() + 5000  # one instant for parent and child
    monkeypatch.setattr(time, "time", lambda: now)
    batch_id()
    ours, theirs = os.pipe()

    def report() -> None:
        signal.alarm(10)  # ends a child that hangs
        os.write(theirs, batch_id().encode())

    with _clockwork._lock:
        child = fork(report)
    assert wait(child) == 0
    assert os.read(ours, 26).decode() != batch_id()
    os.close(ours)
    os.close(theirs)


@given(st.text(), st.text())
def test_a_key_gives_one_id_of_its_own(key: str, other: str) -> None:
    assert batch_id(key) == batch_id(key)
    assert re.fullmatch(BATCH_ID, batch_id(key))
    assert batch_id(key).startswith("k")
    assert (batch_id(key) == batch_id(other)) == (key == other)


def test_an_id_says_when_it_was_given_out() -> None:
    _clockwork.forget()  # other tests turn its clock
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= made_at(batch_id()) <= datetime.now(UTC) + timedelta(milliseconds=1)
    for other in (batch_id("a key"), "", "01JD4Q8ZK3W9V7X5M2N6P0R1S!", "x" * 26, "7" + "Z" * 25):
        with pytest.raises(ValueError):
            made_at(other)
