"""Our server and others that have learnt the same rows, each in processes of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from backbones import Input, load_to_serve
from backbones.sources import resolve
from benchmarks.peers.environment import InstallFailed, install, variables
from benchmarks.peers.peer import Peer
from benchmarks.running_server import NotStarted, RunningServer, free_port, running, running_server
from benchmarks.streams import StreamTask
from benchmarks.taught import teach
from benchmarks.throughput.form import CLASSIFY, OF_PEERS, Form
from benchmarks.throughput.plan import Plan, Say
from learner.heads.logistic import fit_logistic

OURS: Final = "perennial"


@dataclass(frozen=True)
class Contestant:
    """A running server and how it is asked."""

    name: str
    server: RunningServer
    form: Form


@contextmanager
def alone(one: Contestant, started: Sequence[Contestant]) -> Iterator[None]:
    """With all but this one paused: polling takes a share of a core from who is loaded.

    The first one, our local server, is never paused; it sleeps while nobody asks.
    """
    others = [other.server for other in started[1:] if other is not one]
    processes = [process for server in others for process in server.processes()]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def contestants(
    plan: Plan, peers: Sequence[Peer], cache: Path, say: Say
) -> Iterator[tuple[list[Contestant], dict[str, str]]]:
    """Ours first, then every peer that starts; and why the others do not, by name."""
    tasks = plan.tasks()
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perennial-bench-")))
        say(f"{OURS}: learning {len(tasks)} tasks, starting")
        started = [Contestant(OURS, stack.enter_context(_ours(plan, tasks, folder)), CLASSIFY)]
        content = peer_content(plan, tasks)
        for peer in peers:
            try:
                server = stack.enter_context(_peer(peer, content, folder / peer.name, cache, say))
            except (InstallFailed, NotStarted) as error:
                left_out[peer.name] = str(error)
                say(f"{peer.name} is left out: {error}")
            else:
                started.append(Contestant(peer.name, server, OF_PEERS[peer.name]))
        yield started, left_out


def peer_content(plan: Plan, tasks: Sequence[StreamTask]) -> dict[str, Any]:
    """What the peers' scripts read: the backbone's folder, the rows, and a head fitted on them.

    The head is logistic regression on the features of the plain backbone.
    """
    rows = [one for task in tasks for one in task.train]
    classes = sorted({one.label for one in rows})
    backbone = load_to_serve(plan.backbone, runtime=plan.runtime, threads=plan.threads)
    features = backbone.encode(backbone.preprocess([Input(text=one.text) for one in rows]))
    targets = np.array([classes.index(one.label) for one in rows])
    head = fit_logistic(features, targets, len(classes))
    return {
        "model": str(resolve(plan.backbone).folder),
        "max_length": backbone.description.max_length,
        "threads": plan.threads,
        "texts": [one.text for one in rows],
        "labels": [one.label for one in rows],
        "classes": classes,
        "weights": head.weights.tolist(),
        "bias": head.bias.tolist(),
    }


@contextmanager
def _ours(plan: Plan, tasks: Sequence[StreamTask], folder: Path) -> Iterator[RunningServer]:
    teach(folder / "store", plan.backbone, tasks)
    with running_server(plan.arguments(folder / "store"), folder / f"{OURS}.log") as server:
        yield server


@contextmanager
def _peer(
    peer: Peer, content: dict[str, Any], folder: Path, cache: Path, say: Say
) -> Iterator[RunningServer]:
    python = install(peer, cache, say)
    say(f"{peer.name}: starting")
    folder.mkdir()
    source, port = folder / "content.json", free_port()
    source.write_bytes(orjson.dumps(content))
    settings = variables(peer, folder) | {"OMP_NUM_THREADS": str(content["threads"])}
    command = [str(python), str(peer.script), str(source), str(port)]
    with running(command, port, settings, folder / "log", ready="/health") as server:
        yield server
