"""`perennial bench load`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks.runtime_option import runtime_option


@click.command("load")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a data set of texts, learnt in ten tasks. Default: the README's three tasks.",
)
@click.option("--backbone", default="minilm", show_default=True)
@runtime_option
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--replicas", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the encoder."
)
@click.option(
    "--clients",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="That send single texts, each again as soon as it is answered.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=8.0,
    show_default=True,
    help="Of each phase.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def load(json_path: Path | None, **asked: Any) -> None:
    """Load a server, in turn with a bare loop of its engine on the same cores."""
    import orjson

    from benchmarks.throughput.report import markdown
    from benchmarks.throughput.run import Plan, run_load

    result = run_load(Plan(**asked), lambda text: click.echo(text, err=True))
    click.echo(markdown(result))
    if json_path is not None:
        json_path.write_bytes(orjson.dumps(result.as_json(), option=orjson.OPT_INDENT_2))
