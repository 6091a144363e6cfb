"""Images on a real Ray Serve cluster: only the backbone is named differently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.running_server import RunningServer, running_server
from perennial.client import Client
from tests.backbones.vision.models import timm_vit
from tests.serving.pictures import image_folder, shades, written

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("ray-images")
    (folder / "vit").mkdir()
    arguments = ["--engine", "ray", "--replicas", "2", "--threads", "1"]
    arguments += ["--store", str(folder / "store"), "--learner-method", "frozen"]
    arguments += ["--backbone", str(timm_vit(folder / "vit"))]
    with running_server(arguments, folder / "server.log") as running:
        yield running


def test_images_taught_through_one_replica_are_known_to_all(
    server: RunningServer, tmp_path: Path
) -> None:
    tones = image_folder(tmp_path / "tones", {"red": 0, "blue": 1})
    files = {label: sorted((tones / label).iterdir()) for label in ("red", "blue")}
    with Client(server.url) as client:
        examples = [(path, label) for label, paths in files.items() for path in paths]
        batch = client.wait(client.learn("tones", examples), timeout=90)
    seen: set[str] = set()
    photo = written(shades(1, 500, 300), "JPEG")
    for _ in range(200):
        answer = httpx.post(
            f"{server.url}/v1/classify",
            content=photo,
            params={"min_version": batch.version},
            headers={"Content-Type": "image/jpeg"},
            timeout=90,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"][0]["predictions"][0]["label"] == "blue"
        seen.add(answer.headers["X-Perennial-Replica"])
        if len(seen) == 2:
            return
    raise AssertionError(f"only {seen} answered")
