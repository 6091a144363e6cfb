"""All seeds and methods of one stream: progress while it runs, a table and JSON at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from backbones import TrainableBackbone, load
from benchmarks.degraded_table import (
    DEGRADED_HEADINGS,
    degraded_markdown,
    summarise_degraded,
)
from benchmarks.named_streams import NAMED
from benchmarks.overrides import JOINT, BadOverride, learner_config
from benchmarks.results import Results
from benchmarks.stream import Row, run_stream
from benchmarks.streams import Dataset, Stream, UnknownDataset
from benchmarks.tables import HEADINGS, caption, markdown, summarise
from learner.config import LearnerConfig
from learner.events import Event


@dataclass(frozen=True)
class Run:
    """What all rows of one call share. data: folders of single data sets; named: streams.

    image_size: pixels of a side, None for the backbone's own;  tests: test rows a class at most
    """

    data: tuple[Path, ...]
    named: tuple[str, ...]
    tasks: int
    shots: int
    backbone: str
    max_length: int
    prompted_layers: int | None
    overrides: tuple[str, ...]
    hindsight: bool = False
    image_size: int | None = None
    tests: int | None = None
    degraded: bool = False

    def streams(self, seed: int) -> list[Stream]:
        """Every stream of the run. Raises UnknownDataset."""
        streams = self._whole(seed)
        return streams if self.tests is None else [one.limited(self.tests) for one in streams]

    def _whole(self, seed: int) -> list[Stream]:
        """With all test rows."""
        if self.named:
            return [NAMED[name](self.data[0], seed) for name in self.named]
        sets = [Dataset.load(folder) for folder in self.data]
        return [one.stream(tasks=self.tasks, shots=self.shots, seed=seed) for one in sets]

    def settings(self) -> dict[str, Any]:
        """Tells this run's rows from others of the same stream, method and seed."""
        dealt = {} if self.named else {"tasks": self.tasks, "shots": self.shots}
        asked = {
            "image_size": self.image_size,
            "tests": self.tests,
            "degraded": self.degraded or None,
        }
        return dealt | {
            "backbone": self.backbone,
            "max_length": self.max_length,
            "prompted_layers": self.prompted_layers,
            "overrides": sorted(self.overrides),
            **{name: value for name, value in asked.items() if value is not None},
        }


def run_all(
    run: Run,
    *,
    seeds: Iterable[int],
    methods: Sequence[str],
    threads: int,
    json_path: Path | None,
) -> list[Row]:
    """Run what is not in `json_path` yet, write and print everything."""
    check(run, methods)
    done = Results(json_path)
    run_missing(run, done, seeds=tuple(seeds), methods=methods, threads=threads)
    _print(done.rows)
    return done.rows


def run_missing(
    run: Run, done: Results, *, seeds: Sequence[int], methods: Sequence[str], threads: int
) -> None:
    """Add the rows of a run that are not there yet."""
    console, settings = Console(stderr=True), run.settings()
    encoder = load(
        run.backbone,
        threads=threads,
        max_length=run.max_length,
        prompted_layers=run.prompted_layers,
        image_size=run.image_size,
    )
    for seed in seeds:
        for stream in run.streams(seed):
            _check_modality(stream, encoder)
            for method in methods:
                if not done.has(stream.name, method, seed, settings, hindsight=run.hindsight):
                    row = _row(run, stream, method, encoder, console)
                    done.add(replace(row, settings=settings))


def check(run: Run, methods: Sequence[str]) -> None:
    """Refuse what cannot run before anything runs. Raises click.UsageError."""
    if run.named and len(run.data) != 1:
        raise click.UsageError("--stream takes one --data: the folder of all data sets")
    try:
        for method in methods:
            if method != JOINT:
                learner_config(method, 0, run.overrides)
            elif run.overrides:
                raise BadOverride(f"{JOINT} has no options of the learner, got {run.overrides}")
        images = [one.name for one in run.streams(0) if one.has_images]
    except BadOverride as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    except UnknownDataset as error:
        raise click.BadParameter(str(error), param_hint="--data") from error
    if images and JOINT in methods:
        raise click.UsageError(f"--method {JOINT} reads texts only; {images[0]} holds images")
    if run.degraded and not images:
        raise click.UsageError("--degraded makes test images worse; this stream holds texts")


def _check_modality(stream: Stream, encoder: TrainableBackbone) -> None:
    """Refuse images for a backbone of texts, and the other way round. Raises UsageError."""
    sees_images = encoder.description.modality == "vision"
    if stream.has_images != sees_images:
        held, seen = ("images" if one else "texts" for one in (stream.has_images, sees_images))
        raise click.UsageError(
            f"{stream.name} holds {held} and the backbone {encoder.description.name} sees {seen}: "
            "name another --backbone"
        )


def _row(
    run: Run, stream: Stream, method: str, encoder: TrainableBackbone, console: Console
) -> Row:
    title = f"{stream.name} · {method} · seed {stream.seed}"
    if method == JOINT:
        from benchmarks.joint import run_joint

        with _Bars(console, title, len(stream.tasks)) as bars:
            return run_joint(stream, run.backbone, run.max_length, bars.share)
    config = learner_config(method, stream.seed, run.overrides)
    with _Bars(console, title, len(stream.tasks)) as bars:
        return _learn(stream, method, config, encoder, bars, run)


def _learn(
    stream: Stream,
    method: str,
    config: LearnerConfig,
    encoder: TrainableBackbone,
    bars: _Bars,
    run: Run,
) -> Row:
    return run_stream(
        stream,
        method,
        encoder,
        config,
        emit=bars.event,
        examined=bars.examined,
        learnt=lambda task: bars.learnt(),
        hindsight=run.hindsight,
        degraded=run.degraded and stream.has_images,
    )


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

    def share(self, doing: str, share: float) -> None:
        """Of a method that learns all tasks at once: how much of a phase is done."""
        self._progress.update(self._tasks, total=1.0, completed=round(share, 2), now=doing)

    def learnt(self) -> None:
        self._progress.advance(self._tasks)

    def _now(self, text: str) -> None:
        self._progress.update(self._tasks, now=text)


def _print(rows: Sequence[Row]) -> None:
    console = Console()
    if not console.is_terminal:
        tables = (markdown(rows), degraded_markdown(rows))
        click.echo("\n\n".join(table for table in tables if table))
        return
    _print_table(console, HEADINGS, summarise(rows))
    for said in caption(rows):
        console.print(said)
    if degraded := summarise_degraded(rows):
        _print_table(console, DEGRADED_HEADINGS, degraded)


def _print_table(console: Console, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    table = Table(*headings)
    for line in lines:
        table.add_row(*line)
    console.print(table)
