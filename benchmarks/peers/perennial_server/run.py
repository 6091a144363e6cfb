"""Perennial: a server of its own with default settings, spoken to over HTTP like by any client."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.examination import BYTES_OF_KIB, Task, main
from benchmarks.running_server import running_server
from perennial.client import Client

PACKAGES = ("perennial", "torch", "transformers", "onnxruntime")
INPUTS_A_REQUEST = 256


class PerennialServer:
    """One local server with its learner; ends with `stack`."""

    def __init__(self, content: dict[str, Any], stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perennial-bench-")))
        self._arguments = ["--backbone", content["model"], "--threads", "1"]
        self._arguments += ["--learner-seed", str(content["seed"])]
        self._server = stack.enter_context(
            running_server([*self._arguments, "--store", str(folder / "store")], folder / "log")
        )
        self._client = stack.enter_context(Client(self._server.url))

    def learn(self, task: Task) -> None:
        """One batch; until its prompts are decided, not only until its labels are usable."""
        rows = zip(task.train_texts, task.train_labels, strict=True)
        self._client.wait(self._client.learn(task.name, list(rows)), "published")

    def predict(self, texts: Sequence[str]) -> list[str]:
        """As many inputs a request as the server takes; no task named."""
        labels = []
        for start in range(0, len(texts), INPUTS_A_REQUEST):
            inputs = list(texts[start : start + INPUTS_A_REQUEST])
            results = self._client.classify(inputs, top_k=1).results
            labels += [result.best.label if result.best else "" for result in results]
        return labels

    def predict_one(self, text: str) -> str:
        """One request with one input."""
        return self.predict([text])[0]

    def cpu_seconds(self) -> float:
        """Of the server and its learner."""
        return self._server.cpu_seconds()

    def peak_bytes(self) -> int:
        """Of the server and its learner."""
        return sum(_peak(process.pid) for process in self._server.processes())

    def about(self) -> dict[str, Any]:
        """Versions and flags."""
        return {
            "versions": {name: version(name) for name in PACKAGES},
            "settings": {"flags": " ".join(self._arguments), "otherwise": "default"},
        }


def _peak(pid: int) -> int:
    """VmHWM of /proc, which is in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * BYTES_OF_KIB
    return 0


if __name__ == "__main__":
    with ExitStack() as stack:
        main(lambda content: PerennialServer(content, stack))
