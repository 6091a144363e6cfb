"""`perennial bench scale`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks.runtime_option import runtime_option

_MANY = click.IntRange(min=1)


@click.command("scale")
@click.option(
    "--tasks",
    multiple=True,
    type=_MANY,
    default=(1, 10, 30, 100, 300),
    show_default=True,
    help="Of a version; may be repeated. Others are compared with the first.",
)
@click.option("--classes", type=_MANY, default=10, show_default=True, help="Of each task.")
@click.option(
    "--layout",
    type=click.Choice(["domains", "tasks"]),
    default="domains",
    show_default=True,
    help="domains: every task a domain that the router finds, as of auto; tasks: one domain of all "
    "classes, and prompts for requests that name their task, as of q-tuning.",
)
@click.option("--backbone", default="minilm", show_default=True)
@runtime_option
@click.option("--threads", type=_MANY, default=1, show_default=True, help="Of the encoder.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Of each of five phases.",
)
@click.option("--rounds", type=_MANY, default=5, show_default=True)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it (PNG, SVG).")
def scale(json_path: Path | None, plot: Path | None, **asked: Any) -> None:
    """Serve one task, some and hundreds, and compare what a request costs."""
    from benchmarks.json_file import write_json
    from benchmarks.scale.plot import draw
    from benchmarks.scale.report import markdown
    from benchmarks.scale.run import Plan, run_scale

    result = run_scale(Plan(**asked), lambda text: click.echo(text, err=True))
    click.echo(markdown(result))
    write_json(json_path, result.as_json())
    if plot is not None:
        draw(result, plot)
