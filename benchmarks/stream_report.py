"""All seeds and methods of one stream: progress while it runs, a table and JSON at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from backbones import TrainableBackbone, load
from benchmarks.stream import VARIANTS, Row, run_stream
from benchmarks.streams import Dataset, UnknownDataset
from benchmarks.tables import HEADINGS, markdown, summarise
from learner.config import LearnerConfig
from learner.events import Event


def run_all(
    *,
    data: Path,
    tasks: int,
    shots: int,
    seeds: Iterable[int],
    methods: Sequence[str],
    backbone: str,
    threads: int,
    json_path: Path | None,
) -> list[Row]:
    """Run what is not in `json_path` yet, write and print everything."""
    try:
        dataset = Dataset.load(data)
    except UnknownDataset as error:
        raise click.BadParameter(str(error), param_hint="--data") from error
    console = Console(stderr=True)
    settings = {"tasks": tasks, "shots": shots, "backbone": backbone}
    done = _Results(json_path, settings)
    encoder = load(backbone, threads=threads)
    for seed in seeds:
        for method in methods:
            if not done.has(dataset.name, method, seed):
                with _Bars(console, f"{dataset.name} · {method} · seed {seed}", tasks) as bars:
                    done.add(_run(dataset, method, seed, settings, encoder, bars))
    _print(done.rows)
    return done.rows


def _run(
    dataset: Dataset,
    method: str,
    seed: int,
    settings: dict[str, Any],
    encoder: TrainableBackbone,
    bars: _Bars,
) -> Row:
    stream = dataset.stream(tasks=settings["tasks"], shots=settings["shots"], seed=seed)
    config = LearnerConfig(seed=seed, **VARIANTS[method])
    return run_stream(
        stream,
        method,
        encoder,
        config,
        emit=bars.event,
        examined=bars.examined,
        learnt=lambda task: bars.learnt(),
    )


class _Results:
    """Finished rows, written after each so that an interrupted run goes on where it was."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path = path
        self._settings = settings
        self.rows: list[Row] = []
        if path is not None and path.exists():
            stored = orjson.loads(path.read_bytes())
            if stored.get("settings") != settings:
                raise click.ClickException(
                    f"{path} holds results of {stored.get('settings')}, not of {settings}; "
                    "name another file"
                )
            self.rows = [Row(**row) for row in stored["rows"]]

    def has(self, stream: str, method: str, seed: int) -> bool:
        return any((r.stream, r.method, r.seed) == (stream, method, seed) for r in self.rows)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if self._path is not None:
            content = {"settings": self._settings, "rows": [r.as_json() for r in self.rows]}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


class _Bars:
    """Tasks learnt, and what is going on within the present one."""

    def __init__(self, console: Console, title: str, tasks: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} tasks"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=console,
        )
        self._tasks = self._progress.add_task(title, total=tasks, now="")

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def event(self, event: Event) -> None:
        epoch = f" epoch {event.epoch}/{event.epochs}" if event.epochs else ""
        loss = f" loss {event.loss:.3f}" if event.loss is not None else ""
        self._now(f"{event.phase or event.kind} {event.task or ''}{epoch}{loss}")

    def examined(self, rows: int) -> None:
        self._now("examining")

    def learnt(self) -> None:
        self._progress.advance(self._tasks)

    def _now(self, text: str) -> None:
        self._progress.update(self._tasks, now=text)


def _print(rows: Sequence[Row]) -> None:
    console = Console()
    if not console.is_terminal:
        click.echo(markdown(rows))
        return
    table = Table(*HEADINGS)
    for line in summarise(rows):
        table.add_row(*line)
    console.print(table)
