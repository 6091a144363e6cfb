"""`perennial bench soak`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("soak")
@click.option("--backbone", default="minilm", show_default=True)
@click.option("--method", default="auto", show_default=True, help="The learner's.")
@click.option("--seconds", type=click.FloatRange(min=1), default=1800.0, show_default=True)
@click.option(
    "--window",
    type=click.FloatRange(min=1),
    default=20.0,
    show_default=True,
    help="Seconds between two looks at the processes; a batch is learnt in each.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    help="Single texts a second.",
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def soak(json_path: Path | None, **asked: Any) -> None:
    """Load a server for long while it learns: memory, open files and latency by time."""
    from benchmarks.json_file import write_json
    from benchmarks.soak.report import markdown
    from benchmarks.soak.run import Plan, run_soak

    result = run_soak(Plan(**asked), lambda text: click.echo(text, err=True))
    click.echo(markdown(result))
    write_json(json_path, result.as_json())
