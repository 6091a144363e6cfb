"""`perennial bench load --peers`: forms, pauses, table, and real runs of what is installed here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
import pytest
from aiohttp import web
from click.testing import CliRunner

from backbones import Input, load
from benchmarks.peers.peer import SERVING_PEERS, Peer
from benchmarks.running_server import RunningServer
from benchmarks.throughput.clients import answers, closed_loop
from benchmarks.throughput.comparison import Comparison, Loaded, Turn
from benchmarks.throughput.comparison_table import HEADINGS, markdown
from benchmarks.throughput.contestants import Contestant, alone, peer_content
from benchmarks.throughput.form import CLASSIFY, OF_PEERS, TEXT, TEXTS, Form
from benchmarks.throughput.plan import Plan
from perennial.cli import main
from tests.backbones.models import SUPPORTED, save
from tests.benchmarks.test_throughput import serving

MODULES = {
    "fastapi-transformers": "fastapi",
    "litserve": "litserve",
    "adaptive-classifier": "adaptive_classifier",
}
"""What a peer needs in this environment to be tested in it."""

HERE = """
import runpy
from backbones._torchvision import define_missing_operators
define_missing_operators()
runpy.run_path({script!r}, run_name="__main__")
"""
"""A peer's script in this environment, whose torchvision may not suit its torch."""

TOKENIZER = '{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}'
"""With it transformers reads the tiny model's tokenizer.json as it is."""


def test_every_peer_is_asked_in_a_form_of_its_own() -> None:
    assert SERVING_PEERS.keys() == OF_PEERS.keys() == MODULES.keys()


ECHOES: dict[Form, Callable[[Any], dict[str, Any]]] = {
    CLASSIFY: lambda asked: {
        "results": [{"predictions": [{"label": text.upper()}]} for text in asked["inputs"]]
    },
    TEXTS: lambda asked: {"labels": [text.upper() for text in asked["texts"]]},
    TEXT: lambda asked: {"predictions": [{"label": asked["text"].upper()}]},
}
"""Servers that answer a text in capitals, each in its form."""


@pytest.mark.parametrize("form", ECHOES)
async def test_answers_come_in_the_order_of_the_texts(form: Form) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(ECHOES[form](await request.json()))

    async with serving(handler, form.path) as url:
        texts = [f"text {number}" for number in range(20)]
        got = await answers(url, texts, clients=4, form=form)
        assert got == [text.upper() for text in texts]
        outcome = await closed_loop(url, texts, clients=2, inputs=1, seconds=0.05, form=form)
    assert outcome.inputs > 0
    assert outcome.failed == {}


async def test_a_failed_request_has_no_label() -> None:
    async def handler(request: web.Request) -> web.Response:
        (text,) = (await request.json())["texts"]
        return web.json_response({"labels": [text]}, status=500 if text == "b" else 200)

    async with serving(handler, TEXTS.path) as url:
        assert await answers(url, ["a", "b", "c"], clients=2, form=TEXTS) == ["a", "", "c"]


def test_a_form_of_one_text_refuses_two() -> None:
    with pytest.raises(ValueError, match="too many values"):
        TEXT.body(["a", "b"])


@pytest.fixture
def started() -> Iterator[list[Contestant]]:
    """Three processes that only sleep; the first stands for ours."""
    with ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(["sleep", "60"])) for _ in range(3)]
        yield [
            Contestant(str(number), RunningServer("", process, 0.0, 0.0), CLASSIFY)
            for number, process in enumerate(processes)
        ]
        for process in processes:
            process.kill()


def wait_for(event: int, *contestants: Contestant) -> None:
    """Until each is told of a stop (os.WSTOPPED) or of its end (os.WCONTINUED)."""
    for one in contestants:
        os.waitid(os.P_PID, one.server.process.pid, event)


def runs(one: Contestant) -> bool:
    return psutil.Process(one.server.process.pid).status() != psutil.STATUS_STOPPED


def test_the_other_peers_are_paused_and_ours_never(started: list[Contestant]) -> None:
    ours, first, second = started
    with alone(first, started):
        wait_for(os.WSTOPPED, second)
        assert runs(ours)
        assert runs(first)
    wait_for(os.WCONTINUED, second)
    with alone(ours, started):
        wait_for(os.WSTOPPED, first, second)
        assert runs(ours)
    wait_for(os.WCONTINUED, first, second)


def test_the_table_shows_medians_and_ratios_round_by_round() -> None:
    def turns(*requests: float) -> list[Turn]:
        return [Turn(value, p50=10, p99=20, cpu=1.5, failed=1) for value in requests]

    ours = Loaded("perennial", 0.93, turns(100, 300, 400))
    peer = Loaded("litserve", 0.925, turns(50, 100, 400))
    silent = Loaded("fastapi-transformers", 0.9, turns(0, 0, 0))
    comparison = Comparison([ours, peer, silent], 375, {"adaptive-classifier": "no network"})
    heading, _, *lines = markdown(comparison).splitlines()
    assert heading == "| " + " | ".join(HEADINGS) + " |"
    assert lines[0].startswith(
        "| perennial | 300 ± 153 | 1.00 ± 0.00 | 10 | 20 | 1.50 | 93.0 | 3 |"
    )
    assert lines[1].startswith("| litserve | 100 ± 189 | 2.00 ± 1.00 |")
    assert lines[2].startswith("| fastapi-transformers | 0 ± 0 | nan ± nan |")
    assert lines[4] == "3 rounds; accuracy on 375 test texts."
    assert lines[6] == "Left out: adaptive-classifier. no network"
    assert comparison.as_json()["ratios"]["litserve"] == [2, 3, 1]


@pytest.mark.long
@pytest.mark.parametrize("name", MODULES)
def test_a_peer_is_loaded_in_turn_with_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed in this environment")
    folder = save(SUPPORTED["bert"], tmp_path / "bert")
    (folder / "tokenizer_config.json").write_text(TOKENIZER)
    here = Peer(name, tmp_path / "here.py", requirements=None)
    here.script.write_text(HERE.format(script=str(SERVING_PEERS[name].script)))
    broken = Peer("broken", tmp_path / "broken.py", requirements=None)
    broken.script.write_text("raise SystemExit('it cannot start')")
    monkeypatch.setattr("benchmarks.peers.peer.SERVING_PEERS", {"b": broken, name: here})

    out = tmp_path / "peers.json"
    arguments = ["--backbone", folder, "--runtime", "torch", "--rounds", 2, "--seconds", 0.5]
    arguments += ["--clients", 4, "--json", out, "--cache", tmp_path]
    result = CliRunner().invoke(main, ["bench", "load", "--peers", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert f"| {name} |" in result.stdout

    content = orjson.loads(out.read_bytes())
    assert [server["name"] for server in content["servers"]] == ["perennial", name]
    turns = [turn for server in content["servers"] for turn in server["turns"]]
    assert len(turns) == 4
    assert all(turn["requests"] > 0 and turn["cpu"] > 0 for turn in turns)
    assert all(0 < turn["p50"] <= turn["p99"] and turn["failed"] == 0 for turn in turns)
    assert "it cannot start" in content["left_out"]["broken"]
    if name != "adaptive-classifier":  # it has a head of its own
        asked = Plan(None, str(folder), "torch", "local", 1, 1, 4, 0.5, 2)
        assert content["servers"][1]["accuracy"] == pytest.approx(_accuracy_of_the_head(asked))


def _accuracy_of_the_head(plan: Plan) -> float:
    """Of the head that peers are given, on this project's own features of the test texts."""
    tasks = plan.tasks()
    content = peer_content(plan, tasks)
    tests = [one for task in tasks for one in task.test]
    backbone = load(plan.backbone, threads=1)
    features = backbone.encode(backbone.preprocess([Input(text=one.text) for one in tests]))
    best = (features @ np.array(content["weights"]) + content["bias"]).argmax(axis=1)
    return float(
        np.mean([content["classes"][i] == one.label for i, one in zip(best, tests, strict=True)])
    )
