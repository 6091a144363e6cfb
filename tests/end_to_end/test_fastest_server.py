"""A server that times both engines at its start, keeps one, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.running_server import running_server
from perennial.client import Client

pytest.importorskip("onnxruntime", reason="two engines are needed")
pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")

pytestmark = pytest.mark.slow


def test_the_faster_engine_serves_and_info_says_what_was_measured(
    tmp_path: Path, small_bert: list[str]
) -> None:
    flags = [*small_bert, "--runtime", "fastest"]
    log = tmp_path / "log"
    with running_server(flags, log) as server, Client(server.url) as client:
        info = client.info().model_dump()
        milliseconds = info["runtime_milliseconds"]
        assert set(milliseconds) == {"onnx", "torch"}
        assert milliseconds[info["runtime"]] == min(milliseconds.values()) > 0
        assert info["runtime_reason"] == "the fastest of onnx and torch at start"
        assert f"{info['runtime']} is the fastest with 16 inputs" in log.read_text()
        rows = [("red red old", "red"), ("blue new blue", "blue")] * 4
        client.wait(client.learn("colours", rows), until="refreshed")
        assert client.classify("blue far blue").results[0].predictions[0].label == "blue"
