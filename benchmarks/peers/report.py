"""All peers and seeds on one stream: install, run, table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import click

from backbones.sources import resolve
from benchmarks.json_file import write_json
from benchmarks.peers.environment import InstallFailed, install
from benchmarks.peers.exchange import PeerFailed, run, stream_content
from benchmarks.peers.peer import Peer
from benchmarks.peers.row import PeerRow
from benchmarks.peers.table import markdown
from benchmarks.streams import Dataset, UnknownDataset


def run_all(
    *,
    data: Path,
    tasks: int,
    shots: int,
    seeds: Iterable[int],
    peers: Sequence[Peer],
    backbone: str,
    cache: Path,
    json_path: Path | None,
) -> list[PeerRow]:
    """Measure what the cache does not hold yet, write and print everything.

    A peer that cannot be installed or run is named with its reason and left out.
    """
    try:
        dataset = Dataset.load(data)
    except UnknownDataset as error:
        raise click.BadParameter(str(error), param_hint="--data") from error
    model = resolve(backbone).folder
    rows: list[PeerRow] = []
    for seed in seeds:
        stream = dataset.stream(tasks=tasks, shots=shots, seed=seed)
        folder = cache / "runs" / f"{dataset.name}-{tasks}-tasks-{shots}-shots-seed-{seed}"
        say = partial(_say, f"{dataset.name}, seed {seed}")
        for peer in peers:
            try:
                python = install(peer, cache, say)
                rows.append(run(peer, python, stream_content(stream, model), folder, say))
            except (InstallFailed, PeerFailed) as error:
                say(str(error))
            _write(rows, json_path)
    click.echo(markdown(rows))
    return rows


def _say(where: str, text: str) -> None:
    click.echo(f"{where} · {text}", err=True)


def _write(rows: Sequence[PeerRow], json_path: Path | None) -> None:
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        content = {"rows": [row.as_json() for row in rows]}
        write_json(json_path, content)
