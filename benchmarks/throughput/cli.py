"""`perennial bench load` and `perennial bench overload`: their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.peers.cache_option import cache_option
from benchmarks.runtime_option import runtime_option

if TYPE_CHECKING:
    from benchmarks.throughput.plan import Plan

Report = tuple[str, dict[str, Any]]
"""What is printed, and the same for `--json`."""


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
@click.option(
    "--peers",
    is_flag=True,
    help="In turn with other servers instead: FastAPI and transformers, LitServe, "
    "adaptive-classifier.",
)
@cache_option
@click.option(
    "--engines",
    is_flag=True,
    help="In turn on the local engine and on Ray Serve instead, by --clients and by one.",
)
@click.option(
    "--learning",
    is_flag=True,
    help="In turn while nothing is learnt and while a task is, one a round, instead.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    help="With --learning: of the server and its learner. Default: all.",
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def load(
    peers: bool,
    engines: bool,
    learning: bool,
    cache: Path,
    json_path: Path | None,
    **asked: Any,
) -> None:
    """Load a server, in turn with a bare loop of its engine on the same cores."""
    from benchmarks.json_file import write_json
    from benchmarks.throughput.plan import Plan

    plan = Plan(**asked)
    if peers:
        table, content = _beside_peers(plan, cache)
    elif engines:
        table, content = _on_both_engines(plan)
    else:
        table, content = _while_learning(plan) if learning else _beside_bare(plan)
    click.echo(table)
    write_json(json_path, content)


def _beside_bare(plan: Plan) -> Report:
    from benchmarks.throughput.report import markdown
    from benchmarks.throughput.run import run_load

    result = run_load(plan, _say)
    return markdown(result), result.as_json()


def _beside_peers(plan: Plan, cache: Path) -> Report:
    from benchmarks.peers.peer import SERVING_PEERS
    from benchmarks.throughput.comparison import run_comparison
    from benchmarks.throughput.comparison_table import markdown

    result = run_comparison(plan, list(SERVING_PEERS.values()), cache, _say)
    return markdown(result), result.as_json()


def _on_both_engines(plan: Plan) -> Report:
    from benchmarks.throughput.engines import run_engines
    from benchmarks.throughput.engines_table import markdown

    result = run_engines(plan, _say)
    return markdown(result), result.as_json()


def _while_learning(plan: Plan) -> Report:
    from benchmarks.throughput.learning import run_interference
    from benchmarks.throughput.learning_table import markdown

    result = run_interference(plan, _say)
    return markdown(result), result.as_json()


def _say(text: str) -> None:
    click.echo(text, err=True)


@click.command("overload")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a data set of texts, learnt in ten tasks. Default: the README's three tasks.",
)
@click.option("--backbone", default="minilm", show_default=True)
@runtime_option
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--clients",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="That measure the capacity, each asking again as soon as it is answered.",
)
@click.option(
    "--factor",
    type=click.FloatRange(min=1, min_open=True),
    default=5.0,
    show_default=True,
    help="Of the capacity, at which requests arrive.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Of each phase.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def overload(factor: float, json_path: Path | None, **asked: Any) -> None:
    """Send several times what a server can do: who is answered, how soon, and who is refused."""
    from benchmarks.json_file import write_json
    from benchmarks.throughput.overload import run_overload
    from benchmarks.throughput.overload_table import markdown
    from benchmarks.throughput.plan import Plan

    result = run_overload(Plan(engine="local", replicas=1, **asked), factor, _say)
    click.echo(markdown(result))
    write_json(json_path, result.as_json())
