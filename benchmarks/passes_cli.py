"""`perennial bench pass`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from backbones.engines import Precision, Runtime
from benchmarks.json_file import write_json
from benchmarks.runtime_option import runtime_option

_MANY = click.IntRange(min=1)


@click.command("pass")
@click.option("--backbone", default="minilm", show_default=True)
@click.option("--image-size", type=click.IntRange(min=1), help="Pixels of a side, for images.")
@runtime_option
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="fp32",
    show_default=True,
    help="As of `serve`; int8 is not judged here.",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1, 256),
    default=(1, 8, 32),
    show_default=True,
    help="Inputs a pass; may be repeated.",
)
@click.option("--domains", type=_MANY, default=9, show_default=True, help="Prompts in the bank.")
@click.option("--rows", type=_MANY, default=10, show_default=True, help="Rows of each prompt.")
@click.option(
    "--rounds", type=_MANY, default=40, show_default=True, help="Timings of each form of a pass."
)
@click.option(
    "--threads", type=_MANY, default=1, show_default=True, help="CPU threads of the encoder."
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def passes(
    backbone: str,
    image_size: int | None,
    runtime: Runtime,
    precision: Precision,
    batches: tuple[int, ...],
    domains: int,
    rows: int,
    rounds: int,
    threads: int,
    json_path: Path | None,
) -> None:
    """Compare the plain model with prompted, routed and two passes."""
    from backbones import BackboneError, in_bf16, in_int8, load_to_serve
    from benchmarks.passes import markdown, run_pass

    try:
        encoder = load_to_serve(backbone, runtime=runtime, threads=threads, image_size=image_size)
        if precision != "fp32":
            encoder = {"int8": in_int8, "bf16": in_bf16}[precision](encoder)
    except BackboneError as error:
        raise click.ClickException(str(error)) from error
    costs = run_pass(encoder, batches, domains=domains, rows=rows, rounds=rounds)
    click.echo(f"{encoder.description.name} on {encoder.runtime}, {precision}\n", err=True)
    click.echo(markdown(costs))
    write_json(json_path, {"rows": [one.as_json() for one in costs]})
