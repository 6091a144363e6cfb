"""Images through a real server, its learner and the command line, on a small vision transformer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from benchmarks.running_server import RunningServer, running_server
from perennial.cli import main
from perennial.client import Client
from tests.backbones.vision.models import timm_vit
from tests.serving.pictures import image_folder, shades, written

pytestmark = pytest.mark.slow

_CALLERS = 4
_DAMAGED = 1000
_GROWTH = 64 * 2**20
"""Bytes a server may grow by over `_DAMAGED` images, after the first 200 have warmed it up."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("seeing")
    (folder / "vit").mkdir()
    backbone = timm_vit(folder / "vit")
    flags = ["--store", str(folder / "store"), "--backbone", str(backbone)]
    with running_server([*flags, "--learner-method", "frozen"], folder / "log") as running:
        yield running


def _run(server: RunningServer, *arguments: object) -> str:
    given = [str(one) for one in arguments]
    done = CliRunner().invoke(main, given, env={"PERENNIAL_URL": server.url})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_folder_is_learnt_and_photos_are_told_apart(
    server: RunningServer, tmp_path: Path
) -> None:
    tones = image_folder(tmp_path / "tones", {"red": 0, "blue": 1})
    assert "16 examples of tones: published" in _run(server, "learn", "tones", tones)
    photos = [tones / "red" / "3.png", tones / "blue" / "4.jpeg"]
    said = _run(server, "classify", *photos, "--task", "tones", "--json").splitlines()
    assert [json.loads(line)["predictions"][0]["label"] for line in said] == ["red", "blue"]
    with Client(server.url) as client:
        answer = client.classify(photos, task="tones")
        assert [one.best.label for one in answer.results if one.best] == ["red", "blue"]


def test_uploads_of_many_sizes_are_answered_alike_while_versions_change(
    server: RunningServer, tmp_path: Path
) -> None:
    tones = image_folder(tmp_path / "tones", {"red": 0, "blue": 1})
    _run(server, "learn", "sizes", tones)
    draw = np.random.default_rng(3)
    sizes = [tuple(draw.integers(20, 900, size=2)) for _ in range(12)]
    photos = [written(shades(n % 2, *map(int, size)), "JPEG") for n, size in enumerate(sizes)]
    with Client(server.url) as client:
        version = client.classify(photos[0]).version
    learnt = threading.Event()

    def ask(number: int) -> list[tuple[int, dict[str, float]]]:
        """Pinned answers by photo. Unpinned ones must come as well, from whatever is live."""
        seen = []
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for turn in range(200):
                photo = (number + turn) % len(photos)
                headers = {"Content-Type": "image/jpeg"}
                for query in ({"version": version}, {}):
                    answer = http.post(
                        "/v1/classify", content=photos[photo], params=query, headers=headers
                    )
                    assert answer.status_code == 200, answer.text
                    if query:
                        (result,) = answer.json()["results"]
                        seen.append(
                            (photo, {o["label"]: o["score"] for o in result["predictions"]})
                        )
                if learnt.is_set() and turn >= len(photos):
                    break
        return seen

    with ThreadPoolExecutor(_CALLERS) as threads:
        asking = [threads.submit(ask, number) for number in range(_CALLERS)]
        for number in range(3):
            _run(server, "learn", f"more {number}", tones, "--wait", "refreshed")
        learnt.set()
        answers = [one for future in asking for one in future.result()]
    with Client(server.url) as client:
        alone = client.classify(photos, version=version).results
        assert client.classify(photos[0]).version > version
    for photo, scores in answers:
        expected = {one.label: one.score for one in alone[photo].predictions}
        assert scores == pytest.approx(expected, abs=2e-4)


def test_a_thousand_damaged_images_are_a_thousand_answers(server: RunningServer) -> None:
    draw = np.random.default_rng(11)
    sound = [written(shades(0, 300, 200), form) for form in ("PNG", "JPEG", "WEBP")]
    process = psutil.Process(server.process.pid)
    statuses: dict[int, int] = {}
    before = 0
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for number in range(_DAMAGED):
            if number == 200:
                before = process.memory_info().rss
            data = _damaged(sound[number % 3], number, draw)
            files = {"file": ("photo", data, "application/octet-stream")}
            answer = http.post("/v1/classify", files=files)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code in (200, 422), answer.text
            if answer.status_code == 422:
                assert answer.json()["errors"][0]["pointer"] == "#/inputs/0"
    assert statuses[422] > _DAMAGED / 2
    assert process.memory_info().rss - before < _GROWTH


def _damaged(data: bytes, number: int, draw: np.random.Generator) -> bytes:
    """Cut, flipped, both, or with a header of other bytes."""
    damaged = bytearray(data)
    if number % 4 in (0, 2):
        del damaged[int(draw.integers(0, len(damaged) - 8)) :]
    if number % 4 in (1, 2):
        for place in draw.integers(0, max(1, len(damaged)), size=8):
            if place < len(damaged):
                damaged[place] ^= int(draw.integers(1, 256))
    if number % 4 == 3:
        damaged[:32] = draw.bytes(32)
    return bytes(damaged)
