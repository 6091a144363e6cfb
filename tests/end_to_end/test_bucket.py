"""A server whose store is a bucket, on a real server of S3."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from benchmarks.running_server import running_server
from perennial.client import Client
from perennial.client.results import Prediction
from tests.backbones.models import SUPPORTED, save
from tests.prompt_store import bucket_servers

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 120
STORE_TROUBLE = "The store cannot be read or written"
ROWS = [("red round", "fruit"), ("green round", "fruit"), ("far left", "road"), ("up", "road")]


@pytest.fixture(autouse=True)
def s3() -> Iterator[ExitStack]:
    """A server of S3, which ends where this is closed."""
    with ExitStack() as running:
        environment = running.enter_context(bucket_servers.s3())
        running.enter_context(bucket_servers.set_in(environment))
        yield running


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a server with a small backbone that needs no export."""
    folder = save(SUPPORTED["bert"], tmp_path_factory.mktemp("bert"))
    return ["--backbone", str(folder), "--runtime", "torch", "--learner-method", "frozen"]


def answers(client: Client, texts: list[str], version: int) -> list[tuple[Prediction, ...]]:
    return [one.predictions for one in client.classify(texts, version=version).results]


def test_what_a_bucket_remembers_outlives_a_server_and_an_outage(
    tmp_path: Path, flags: list[str], s3: ExitStack
) -> None:
    texts = [text for text, _ in ROWS]
    arguments = [*flags, "--store", f"s3://{bucket_servers.BUCKET}/perennial"]
    with running_server(arguments, tmp_path / "first") as server, Client(server.url) as client:
        batch = client.learn("things", ROWS).batch
        version = client.wait(batch, timeout=PATIENCE_SECONDS).version
        first = client.classify(texts, min_version=version)
        assert [one.predictions[0].label for one in first.results] == [name for _, name in ROWS]
    with running_server(arguments, tmp_path / "second") as server, Client(server.url) as client:
        assert client.batch(batch).status == "published"
        assert answers(client, texts, first.version) == [one.predictions for one in first.results]
        s3.close()  # an outage
        refused = httpx.post(
            f"{server.url}/v1/tasks/things/examples",
            json={"examples": [{"input": "down", "label": "road"}]},
            timeout=PATIENCE_SECONDS,
        )
        assert (refused.status_code, refused.json()["title"]) == (503, STORE_TROUBLE)
        assert "cannot be used" in refused.json()["detail"]
        assert answers(client, texts, first.version) == [one.predictions for one in first.results]


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("s3://absent/perennial", "there is no such bucket"),
        ("s4://bucket/perennial", "s3://bucket/prefix"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_line(flags: list[str], store: str, said: str) -> None:
    command = [sys.executable, "-m", "perennial", "serve", "--port", "0", *flags, "--store", store]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
