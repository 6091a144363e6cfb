"""A real transformer behind HTTP: versions, tasks and prompts mixed in one pass change nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from prompt_store import Store
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.service import Service
from serving.settings import Settings
from tests.backbones.models import SUPPORTED, save
from tests.serving.publishing import Texts, prefix_of, publish
from tests.serving.running import running

SHAPES: Texts = {
    "size": {"small": ["small red", "small round"], "large": ["large blue", "large flat"]},
    "side": {"left": ["left up", "far left"], "right": ["right down", "near right"]},
}
ASKED: list[dict[str, Any]] = [
    {"inputs": ["small round", "far left up down", "large"], "task": task, "version": version}
    for task in (None, "size", "side")
    for version in (1, 2, None)
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> TorchTextBackbone:
    folder: Path = save(SUPPORTED["bert"], tmp_path_factory.mktemp("bert"))
    return load(str(folder), device="cpu", threads=1, precision="fp32")


def test_answers_do_not_depend_on_what_shares_their_pass(
    store: Store, bert: TorchTextBackbone
) -> None:
    publish(store, bert, SHAPES)
    own = prefix_of(bert, 3, seed=1)
    publish(store, bert, SHAPES, aggregate=prefix_of(bert, 2, seed=2), prompts={"side": own})
    publish(store, bert, SHAPES, prompts={"size": own})
    service = Service(store, Engines(bert), Settings(), PrometheusMetrics())
    with running(service) as server, ThreadPoolExecutor(len(ASKED)) as threads:

        def ask(body: dict[str, Any]) -> dict[str, Any]:
            sent = {name: value for name, value in body.items() if value is not None}
            with httpx.Client(base_url=server.url, timeout=60) as client:
                answer = client.post("/v1/classify", json=sent)
            assert answer.status_code == 200, answer.text
            members: dict[str, Any] = answer.json()
            return members

        alone = [ask(body) for body in ASKED]
        together = list(threads.map(ask, ASKED * 5))
        exposition = server.client.get("/metrics").text
    for index, answer in enumerate(together):
        expected = alone[index % len(ASKED)]
        assert answer["version"] == expected["version"]
        assert _flat(answer) == pytest.approx(_flat(expected), abs=2e-4)
    assert len({tuple(_flat(one).values()) for one in alone}) > 5  # versions and tasks do differ
    passes = _value(exposition, "perennial_batch_size_count")
    assert passes < len(alone) + len(together)  # some did share a pass


def _flat(answer: dict[str, Any]) -> dict[str, float]:
    return {
        f"{place} {one['task']}/{one['label']}": one["score"]
        for place, result in enumerate(answer["results"])
        for one in result["predictions"]
    }


def _value(exposition: str, name: str) -> float:
    return next(
        float(line.split()[1]) for line in exposition.splitlines() if line.startswith(f"{name} ")
    )
