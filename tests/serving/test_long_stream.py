"""A stream of 20,000 lines through a server process, from a client that reads last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from prompt_store import Store
from tests.serving.bag_of_words import BagOfWords
from tests.serving.publishing import BOTH, Texts, publish
from tests.serving.served import served
from tests.serving.talking import talking

pytestmark = pytest.mark.slow

LINES = 20_000
STEP = 100
BAD = 12_345
PADDING = " " * 4000  # what is sent: 80 MB, few of it words
LONG: Texts = {"mail": {f"{number} {'l' * 100}": [f"word{number}"] for number in range(5)}}
"""What is answered: 15 MB."""
GROWTH = 12 * 2**20  # bytes that a server may grow by


def test_long_streams_keep_their_order_through_swaps_in_bounded_memory(tmp_path: Path) -> None:
    store, backbone = Store.open(tmp_path), BagOfWords()
    publish(store, backbone, LONG)
    with served(tmp_path) as (url, process):
        with talking(url) as talk:
            talk.say(*map(_line, range(2000)))
            talk.end()
            assert len(talk.rest()) == 2000
        before = most = _memory(process)
        with talking(url) as talk:
            for first in range(0, LINES, STEP):
                talk.say(*map(_line, range(first, first + STEP)))
                most = max(most, _memory(process))
                if first == LINES // 2:
                    publish(store, backbone, {**BOTH, **LONG})
                    _until_live(url, 2)
            talk.end()
            answers = talk.rest()
        assert most - before < GROWTH
        assert _memory(process) - before < GROWTH
        assert answers.pop(BAD)["line"] == BAD + 1
        _check(answers, url)


def test_clients_that_go_away_leave_nothing_behind(tmp_path: Path) -> None:
    publish(Store.open(tmp_path), BagOfWords(), LONG)
    with served(tmp_path) as (url, process):
        before = process.num_fds()
        for _ in range(3):
            with talking(url) as talk:
                talk.say(*map(_line, range(1000)))
                assert talk.hear()
        while process.num_fds() > before:
            pass
        assert not httpx.get(f"{url}/v1/info").json()["waiting_inputs"]


def _check(answers: list[dict[str, Any]], url: str) -> None:
    """One for each line but the bad one, as requests of their own would get them."""
    numbers = [number for number in range(LINES) if number != BAD]
    assert [one["id"] for one in answers] == [str(number) for number in numbers]
    versions = [one["version"] for one in answers]
    assert versions == sorted(versions)
    assert set(versions) == {1, 2}
    with httpx.Client(base_url=url) as client:
        for place in range(0, len(answers), 499):
            answer, text = answers[place], _text(numbers[place])
            asked = {"inputs": text, "version": answer["version"]}
            (alone,) = client.post("/v1/classify", json=asked).json()["results"]
            assert [_named(one) for one in answer["predictions"]] == [
                _named(one) for one in alone["predictions"]
            ]
            assert [one["score"] for one in answer["predictions"]] == pytest.approx(
                [one["score"] for one in alone["predictions"]]
            )


def _named(prediction: dict[str, Any]) -> tuple[str, str]:
    return prediction["task"], prediction["label"]


def _until_live(url: str, version: int) -> None:
    while httpx.get(f"{url}/v1/info").json()["version"] != version:
        pass


def _line(number: int) -> dict[str, str]:
    return {"id": str(number), "text": "" if number == BAD else _text(number)}


def _text(number: int) -> str:
    return f"word{number % 5} word{number % 3} and more{PADDING}"


def _memory(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
