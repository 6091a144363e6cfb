"""A stream goes to a peer's script as JSON, and what was measured comes back as JSON."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks.peers import examination
from benchmarks.peers.environment import LOG_CHARACTERS, variables
from benchmarks.peers.peer import Peer
from benchmarks.peers.row import PeerRow
from benchmarks.streams import Stream, StreamTask

Say = Callable[[str], None]


class PeerFailed(RuntimeError):
    """A peer's script ended with an error; carries the end of its log."""


def stream_content(stream: Stream, model: Path) -> dict[str, Any]:
    """What a script reads. model: folder of the backbone, the same for all."""
    return {
        "stream": stream.name,
        "seed": stream.seed,
        "model": str(model),
        "requests_a_second": examination.REQUESTS_A_SECOND,
        "quiet_requests": examination.QUIET_REQUESTS,
        "tasks": [_task(task) for task in stream.tasks],
    }


def run(peer: Peer, python: Path, content: dict[str, Any], folder: Path, say: Say) -> PeerRow:
    """Examine a peer on a stream, or read what an earlier run left in `folder`. Raises PeerFailed.

    The files are `<peer>.stream.json`, `<peer>.result.json` and `<peer>.log`. A result counts only
    beside the very stream it was measured on; delete it to measure again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source, target = folder / f"{peer.name}.stream.json", folder / f"{peer.name}.result.json"
    if not (target.exists() and _is(source, content)):
        target.unlink(missing_ok=True)
        source.write_bytes(orjson.dumps(content))
        with tempfile.TemporaryDirectory(prefix="perennial-peer-") as package:
            command = [str(python), str(peer.script), str(source), str(target)]
            _watch(peer, command, variables(peer, Path(package)), folder / f"{peer.name}.log", say)
    result = orjson.loads(target.read_bytes())
    return PeerRow.of(content["stream"], peer.name, content["seed"], result)


def _task(task: StreamTask) -> dict[str, Any]:
    return {
        "name": task.name,
        "train_texts": [example.text for example in task.train],
        "train_labels": [example.label for example in task.train],
        "test_texts": [example.text for example in task.test],
        "test_labels": [example.label for example in task.test],
    }


def _is(path: Path, content: dict[str, Any]) -> bool:
    return path.exists() and bool(orjson.loads(path.read_bytes()) == content)


def _watch(peer: Peer, command: list[str], env: dict[str, str], log: Path, say: Say) -> None:
    with (
        log.open("w") as lines,
        subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines.write(line)
            if line.startswith(examination.MARK):
                say(f"{peer.name}: {line.removeprefix(examination.MARK).strip()}")
    if process.returncode:
        raise PeerFailed(
            f"{peer.name} ended with {process.returncode}; the end of {log}:\n"
            f"{log.read_text()[-LOG_CHARACTERS:]}"
        )
