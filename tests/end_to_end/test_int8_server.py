"""A server in int8: exported, quantised, judged by its learner, and served."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.running_server import running_server
from perennial.client import Client

pytest.importorskip("onnxruntime", reason="int8 needs ONNX Runtime")
pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 120


def test_a_version_is_served_in_int8_once_the_learner_has_judged_it(
    tmp_path: Path, small_bert: list[str]
) -> None:
    flags = [*small_bert, "--runtime", "onnx", "--precision", "int8"]
    others = ("small", "large", "round", "flat", "old", "new", "far")
    rows = [
        (f"{one} {colour} {colour} {other}", colour)
        for colour in ("red", "green", "blue", "near", "up")
        for one in others
        for other in others
    ]
    with running_server(flags, tmp_path / "log") as server, Client(server.url) as client:
        assert client.info().model_dump()["precision_reason"] == "nothing has been learnt yet"
        client.wait(client.learn("colours", rows), until="refreshed")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.info().model_dump()["precision"] != "int8":
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        answer = client.classify("old blue blue new")
        assert answer.version == 3  # a fence, what was learnt, the verdict on it
        assert answer.results[0].predictions[0].label == "blue"
