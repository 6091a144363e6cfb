"""`perennial bench …`: claims of the documentation, as commands anybody can run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.cold_start.cli import cold_start
from benchmarks.compression_cli import consolidation, eviction
from benchmarks.crash.cli import crash
from benchmarks.demo.cli import demo
from benchmarks.gate_cli import gate
from benchmarks.gpu_cli import gpu
from benchmarks.named_streams import NAMED
from benchmarks.overrides import VARIANTS
from benchmarks.passes_cli import passes
from benchmarks.peers.cli import peers
from benchmarks.race.cli import race
from benchmarks.scale.cli import scale
from benchmarks.soak.cli import soak
from benchmarks.throughput.cli import load, overload

if TYPE_CHECKING:
    from benchmarks.stream import Row


@click.group()
def bench() -> None:
    """Measure learning, swapping and cost on this machine."""


@bench.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    multiple=True,
    help="Folder of a data set (texts: one *.json.gz, images: one *.npz); may be repeated. "
    "With --stream: the folder above all data sets.",
)
@click.option(
    "--stream", "named", type=click.Choice(list(NAMED)), multiple=True, help="May be repeated."
)
@click.option("--tasks", default=10, show_default=True, help="Tasks the classes are dealt into.")
@click.option("--shots", default=16, show_default=True, help="Training examples a class.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, … to run.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(VARIANTS),
    default=("frozen", "q-tuning"),
    show_default=True,
    help="May be repeated.",
)
@click.option("--gate", type=click.Choice(["test", "open", "closed"]), help="Short for gate.mode.")
@click.option("--head", help="Short for --set head.kind=…")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="OPTION=VALUE",
    help="An option of the learner, e.g. q_tuning.reweighing=false; may be repeated.",
)
@click.option("--backbone", default="minilm", show_default=True)
@click.option("--max-length", default=256, show_default=True, help="Tokens read of an input.")
@click.option(
    "--image-size", type=click.IntRange(min=1), help="Pixels of a side. Default: the backbone's."
)
@click.option("--prompted-layers", type=click.IntRange(min=1), help="Default: the backbone's.")
@click.option("--tests", type=click.IntRange(min=1), help="Test rows a class. Default: all.")
@click.option("--threads", default=1, show_default=True, help="CPU threads of the encoder.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the rows here; finished rows found there are not run again.",
)
@click.option(
    "--plot",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also draw them into this folder (PNG; needs matplotlib).",
)
@click.option(
    "--hindsight", is_flag=True, help="Also judge the gate: every candidate by the test rows."
)
@click.option("--degraded", is_flag=True, help="Also examine at the end on test images made worse.")
def stream(
    data: tuple[Path, ...],
    named: tuple[str, ...],
    tasks: int,
    shots: int,
    seeds: int,
    methods: tuple[str, ...],
    gate: str | None,
    head: str | None,
    overrides: tuple[str, ...],
    backbone: str,
    max_length: int,
    image_size: int | None,
    prompted_layers: int | None,
    tests: int | None,
    threads: int,
    json_path: Path | None,
    plot: Path | None,
    hindsight: bool,
    degraded: bool,
) -> None:
    """Learn a stream of tasks through the real learner and store, and print a table."""
    from benchmarks.stream_report import Run, run_all

    short = {"gate.mode": gate, "head.kind": head}
    overrides += tuple(f"{name}={value}" for name, value in short.items() if value is not None)
    run = Run(
        data=data,
        named=named,
        tasks=tasks,
        shots=shots,
        backbone=backbone,
        max_length=max_length,
        prompted_layers=prompted_layers,
        overrides=overrides,
        hindsight=hindsight,
        image_size=image_size,
        tests=tests,
        degraded=degraded,
    )
    rows = run_all(run, seeds=range(seeds), methods=methods, threads=threads, json_path=json_path)
    if plot is not None:
        _draw(rows, plot)


@bench.command("plot")
@click.argument("json_path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def plot_rows(json_path: Path, folder: Path) -> None:
    """Draw the rows that `bench stream --json` wrote, without running anything."""
    from benchmarks.results import read_rows

    _draw(read_rows(json_path), folder)


@bench.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder above all data sets; not needed with --no-run.",
)
@click.option(
    "--rows",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/rows"),
    show_default=True,
    help="Folder of finished rows, one JSON file a section; they are not run again.",
)
@click.option("--only", "names", multiple=True, help="A section's name; may be repeated.")
@click.option("--seeds", type=click.IntRange(min=1), help="Fewer or more than the sections say.")
@click.option("--no-run", is_flag=True, help="Write the rows that are there.")
@click.option("--threads", default=1, show_default=True, help="CPU threads of the encoder.")
@click.option(
    "--docs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("docs"),
    show_default=True,
    help="Folder of benchmarks.md and images/.",
)
def publish(
    data: Path | None,
    rows: Path,
    names: tuple[str, ...],
    seeds: int | None,
    no_run: bool,
    threads: int,
    docs: Path,
) -> None:
    """Run what is missing of docs/benchmarks.md, and write its tables and pictures anew."""
    from benchmarks.published import chosen, measure, write

    if data is None and not no_run:
        raise click.UsageError("name the folder above all data sets with --data, or give --no-run")
    for section in chosen(names):
        path = rows / f"{section.name}.json"
        if data is not None and not no_run:
            measure(section, data, path, seeds=seeds, threads=threads)
        if path.exists():
            write(section, path, docs)
        else:
            click.echo(f"{section.name}: no rows in {path}; left as it is", err=True)


@bench.command()
@click.option(
    "--rows",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("docs/rows"),
    show_default=True,
    help="Folder of swap.json, load.json, load-peers.json and scale.json, as `--json` wrote them.",
)
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/images"),
    show_default=True,
)
def pictures(rows: Path, images: Path) -> None:
    """Draw the pictures of docs/performance.md anew from the runs that are there."""
    from benchmarks.pictures import PICTURES

    for name, picture in PICTURES.items():
        source, path = rows / f"{name}.json", images / f"{name}.png"
        if source.exists():
            picture.redraw(source, path)
            click.echo(f"drew {path}", err=True)
        else:
            click.echo(f"{name}: no {source}; left as it is", err=True)


@bench.command()
@click.option("--replicas", default=3, show_default=True)
@click.option("--clients", default=8, show_default=True)
@click.option("--rate", default=24.0, show_default=True, help="Requests a second, together.")
@click.option("--publications", default=20, show_default=True, help="Versions published.")
@click.option("--pause", default=1.5, show_default=True, help="Seconds between publications.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (PNG, SVG).")
def swap(
    replicas: int,
    clients: int,
    rate: float,
    publications: int,
    pause: float,
    json_path: Path | None,
    plot: Path | None,
) -> None:
    """Publish versions under steady load on Ray Serve, then kill a replica with -9."""
    from benchmarks.swap import run_swap
    from benchmarks.swap_report import report

    result, trace = run_swap(
        replicas=replicas,
        clients=clients,
        rate=rate,
        publications=publications,
        pause=pause,
        say=lambda text: click.echo(text, err=True),
    )
    report(result, trace, json_path, plot)


@bench.command()
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True
)
@click.option("--tasks", default=31, show_default=True, help="Tasks the classes are dealt into.")
@click.option("--shots", default=8, show_default=True, help="Training examples a class.")
@click.option("--seeds", default=3, show_default=True)
@click.option(
    "--gate",
    type=click.Choice(["test", "open"]),
    default="test",
    show_default=True,
    help="open: every candidate goes live, so every training re-encodes all kept examples.",
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def cost(data: Path, tasks: int, shots: int, seeds: int, gate: str, json_path: Path | None) -> None:
    """Compare what the thirtieth task costs with what the third did."""
    from benchmarks.cost_report import run_all

    run_all(data=data, tasks=tasks, shots=shots, seeds=seeds, gate=gate, json_path=json_path)


def _draw(rows: Sequence[Row], folder: Path) -> None:
    from benchmarks.stream_plot import draw_all

    for path in draw_all(rows, folder):
        click.echo(f"drew {path}", err=True)


for command in (eviction, consolidation, load, overload, scale, soak, cold_start):
    bench.add_command(command)
for command in (passes, peers, demo, gpu, crash, race, gate):
    bench.add_command(command)
