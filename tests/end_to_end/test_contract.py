"""schemathesis tries the whole OpenAPI document on a real server, with keys and without.

All checks run on all operations: no 5xx, statuses, headers, media types and bodies as documented,
405 where a method is unknown, 401 without a key, what breaks the schema is refused. What a schema
cannot say is in contract.toml and contract_hooks.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.running_server import RunningServer, running_server
from tests.backbones.models import SUPPORTED, save

pytestmark = pytest.mark.slow

SECRET = "secret"
HOOKS = "tests.end_to_end.contract_hooks"
CONFIG = Path(__file__).with_name("contract.toml")
FEW = 300
"""Cases of the short form, at least, and the examples an operation of which that is made."""
MANY = 10_000


@pytest.fixture(scope="module", params=["without keys", "with keys"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """That knows two labels."""
    folder = tmp_path_factory.mktemp("contract")
    (folder / "bert").mkdir()
    backbone = save(SUPPORTED["bert"], folder / "bert")
    flags = ["--store", str(folder / "store"), "--backbone", str(backbone), "--runtime", "torch"]
    key = {
        "name": "all",
        "sha256": hashlib.sha256(SECRET.encode()).hexdigest(),
        "scopes": ["admin"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERENNIAL_KEYS", json.dumps([key] if request.param == "with keys" else []))
        patch.setenv("PERENNIAL_POLLING__HEARTBEAT_SECONDS", "0.1")
        with running_server([*flags, "--learner-method", "frozen"], folder / "log") as running:
            rows = [{"input": "red", "label": "refund"}, {"input": "blue", "label": "delivery"}]
            headers = {"Authorization": f"Bearer {SECRET}"}
            address = f"{running.url}/v1/tasks/mail/examples"
            httpx.post(address, json={"examples": rows}, headers=headers).raise_for_status()
            yield running


def tried(server: RunningServer, report: Path, *options: str) -> int:
    """How many cases were tried. Fails with what schemathesis found."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    command += [f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {SECRET}"]
    command += ["--checks", "all", "--seed", "0", "--report-json-path", str(report), *options]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    found = json.loads(report.read_bytes())
    assert found["operations"]["tested"] == found["operations"]["total"] > 15
    return int(found["test_cases"]["generated"])


def test_a_few_hundred_requests_find_the_documented_server(
    server: RunningServer, tmp_path: Path
) -> None:
    options = ("--phases", "examples,coverage", "--mode", "all")
    assert tried(server, tmp_path / "report.json", *options) >= FEW


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_thousand_requests_find_the_documented_server(
    server: RunningServer, tmp_path: Path
) -> None:
    options = ("--max-examples", "1000", "--workers", "2")
    assert tried(server, tmp_path / "report.json", *options) >= MANY
