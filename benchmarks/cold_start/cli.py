"""`perennial bench cold-start`: its options."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("cold-start")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(["local", "ray"]),
    default=("local", "ray"),
    show_default=True,
    help="May be repeated. Beside ray an application that does nothing is started.",
)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(["onnx", "torch"]),
    default=("onnx", "torch"),
    show_default=True,
    help="Of the local engine; may be repeated. Ray takes the first.",
)
@click.option("--backbone", default="minilm", show_default=True)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Starts of each."
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def cold_start(
    engines: tuple[str, ...],
    runtimes: tuple[str, ...],
    backbone: str,
    rounds: int,
    json_path: Path | None,
) -> None:
    """Start servers with a taught store in turn, and time them to their first answer."""
    from benchmarks.cold_start.report import markdown
    from benchmarks.cold_start.run import Plan, run_cold_start
    from benchmarks.json_file import write_json

    plan = Plan(engines, runtimes, backbone, rounds)
    result = run_cold_start(plan, lambda text: click.echo(text, err=True))
    click.echo(markdown(result))
    write_json(json_path, result.as_json())
