"""`perennial bench gate`: what the gate accepts and refuses."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder above all data sets.",
)
@click.option(
    "--task",
    "names",
    multiple=True,
    default=("yahoo", "agnews", "SST-2", "amazon"),
    show_default=True,
    help="Also clinc150 and banking77; may be repeated.",
)
@click.option("--seeds", default=25, show_default=True, help="Seeds 0, 1, … of every task.")
@click.option("--backbone", default="minilm", show_default=True)
@click.option("--max-length", default=24, show_default=True, help="Tokens read of an input.")
@click.option("--prompted-layers", default=2, show_default=True)
@click.option("--steps", default=24, show_default=True, help="Training steps of each half.")
@click.option(
    "--prompts",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder where trained prompts are kept, and found by the next run: to compare gates.",
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def gate(
    data: Path,
    names: tuple[str, ...],
    seeds: int,
    backbone: str,
    max_length: int,
    prompted_layers: int,
    steps: int,
    prompts: Path | None,
    json_path: Path | None,
) -> None:
    """Train candidates with right and with shuffled labels, and count what the gate accepts."""
    from backbones import load
    from benchmarks.gate import Trials, markdown, run
    from learner.config import LearnerConfig
    from learner.methods.config import AutoConfig

    encoder = load(backbone, max_length=max_length, prompted_layers=prompted_layers, threads=1)
    short = AutoConfig(epochs=1, minimum_steps=steps, maximum_steps=steps)
    trials = Trials(encoder, LearnerConfig(domains="one", auto=short), prompts)
    rows = run(names, range(seeds), data, trials, json_path=json_path, say=_say)
    click.echo(markdown(rows))


def _say(text: str) -> None:
    click.echo(text, err=True)
