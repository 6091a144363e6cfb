"""`perennial bench load` against a real server with a tiny backbone, and how it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from click.testing import CliRunner

from benchmarks.throughput.clients import closed_loop, open_loop
from benchmarks.throughput.form import naming
from benchmarks.throughput.run import SHARES
from perennial.cli import main
from tests.backbones.models import SUPPORTED, save

PACES = ("bare", "beside", "single", "bulk")
Handler = Callable[[web.Request], Awaitable[web.Response]]


@pytest.mark.slow
def test_a_server_is_loaded_in_turn_with_the_bare_engine(tmp_path: Path) -> None:
    folder = save(SUPPORTED["bert"], tmp_path / "bert")
    out = tmp_path / "load.json"
    arguments = ["--backbone", folder, "--runtime", "torch", "--rounds", 2, "--seconds", 0.5]
    arguments += ["--clients", 4, "--json", out]
    result = CliRunner().invoke(main, ["bench", "load", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "| single texts, served |" in result.stdout
    content = orjson.loads(out.read_bytes())
    assert len(content["rounds"]) == 2
    assert all(one["failed"] == 0 for one in content["rounds"])
    paces = [one[name] for one in content["rounds"] for name in PACES]
    assert all(pace["texts"] > 0 and pace["cpu"] > 0 for pace in paces)
    assert [one["share"] for one in content["rates"]] == list(SHARES)
    assert all(0 < one["p50"] <= one["p99"] <= one["p999"] for one in content["rates"])


@pytest.mark.long
def test_requests_arrive_alike_while_a_task_is_learnt(tmp_path: Path) -> None:
    folder = save(SUPPORTED["bert"], tmp_path / "bert")
    out = tmp_path / "learning.json"
    arguments = ["--learning", "--backbone", folder, "--runtime", "torch", "--rounds", 1]
    arguments += ["--seconds", 1, "--clients", 4, "--cores", 1, "--json", out]
    result = CliRunner().invoke(main, ["bench", "load", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    content = orjson.loads(out.read_bytes())
    (turn,) = content["turns"]
    assert content["cores"] == 1
    assert turn["quiet"]["lost"] == turn["learning"]["lost"] == 0
    assert turn["learning"]["busy"] > 0
    assert turn["version"] >= 3  # the two tasks before, and this one


@asynccontextmanager
async def serving(handler: Handler, path: str = "/v1/classify") -> AsyncIterator[str]:
    """The address of a server on a free port that answers `path` by `handler`."""
    app = web.Application()
    app.router.add_post(path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_every_answer_is_counted_as_what_it_was() -> None:
    statuses = iter([200, 429, 500] * 4)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=next(statuses), headers={"Retry-After": "1"})

    async with serving(handler) as url:
        outcome = await open_loop(url, ["a"], rate=200, seconds=12 / 200, seed=0)
    assert (outcome.inputs, outcome.refused, outcome.failed) == (4, 4, {"500": 4})


async def test_a_stall_counts_from_when_requests_were_due() -> None:
    async def handler(request: web.Request) -> web.Response:
        await stalled.wait()
        return web.Response()

    stalled = asyncio.Event()
    async with serving(handler) as url:
        asyncio.get_running_loop().call_later(0.5, stalled.set)
        outcome = await open_loop(url, ["a"], rate=100, seconds=0.2, seed=0)
    assert outcome.inputs == 20
    assert outcome.milliseconds(1) > 200  # the last one was due after 0.2 s or so
    assert outcome.milliseconds(99) > 400


async def test_closed_clients_send_whole_requests_one_at_a_time() -> None:
    at_once = most = 0
    sizes: set[int] = set()

    async def handler(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        sizes.add(len((await request.json())["inputs"]))
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.Response()

    async with serving(handler) as url:
        outcome = await closed_loop(url, ["a", "b", "c"], clients=3, inputs=5, seconds=0.2)
    assert (most, sizes) == (3, {5})
    assert outcome.inputs % 5 == 0
    assert outcome.inputs_per_second > 0


async def test_requests_name_the_tasks_in_turn() -> None:
    named: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        named.append((await request.json())["task"])
        return web.Response()

    tasks = ["mail", "mood", "home"]
    async with serving(handler) as url:
        await closed_loop(url, "abcdef", clients=1, inputs=1, seconds=0.2, form=naming(tasks))
    assert len(named) > 3
    assert all(task == tasks[number % 3] for number, task in enumerate(named))


async def test_nobody_listening_is_a_failure() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    async with serving(handler) as url:
        pass
    outcome = await open_loop(url, ["a"], rate=100, seconds=0.03, seed=0)
    assert outcome.inputs == 0
    assert outcome.failed == {"ClientConnectorError": 3}
