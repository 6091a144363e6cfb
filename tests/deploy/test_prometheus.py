"""Prometheus itself loads the configs and rules, and answers what rules and dashboard ask."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.test_monitoring import DEPLOY, alert_rules, expressions

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not on the PATH (Debian: apt-get install prometheus)",
)
CONFIGS = ("prometheus.yml", "prometheus-ray.yml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files as they are, but for the place of the key."""
    (tmp_path / "key").write_text("secret")
    for name in (*CONFIGS, "alerts.yml"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(
            text.replace("/run/secrets/metrics-key", str(tmp_path / "key"))
        )
    return tmp_path


@pytest.mark.parametrize("name", CONFIGS)
def test_promtool_finds_nothing_wrong(folder: Path, name: str) -> None:
    command = ["promtool", "check", "config", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(alert_rules())} rules found" in done.stdout


@pytest.fixture
def prometheus(folder: Path) -> Iterator[httpx.Client]:
    """One that runs with the config of the local engine."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        "prometheus", f"--config.file={folder / CONFIGS[0]}", f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        retries = httpx.HTTPTransport(retries=6)  # it listens after a moment
        with httpx.Client(base_url=f"http://{address}", transport=retries, timeout=30) as client:
            while client.get("/-/ready").status_code != 200:
                assert process.poll() is None, (folder / "log").read_text()
            yield client
        process.terminate()


def test_it_loads_every_rule_and_answers_every_expression(prometheus: httpx.Client) -> None:
    (group,) = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in alert_rules()]
    for expression in expressions():
        answer = prometheus.get("/api/v1/query", params={"query": expression})
        assert answer.json()["status"] == "success", (expression, answer.text)
