"""The cost benchmark over seeds, printed beside what was promised."""

from __future__ import annotations

from pathlib import Path

import click

from backbones import load
from benchmarks.cost import EARLY, LATE, CostResult, run_cost
from benchmarks.json_file import write_json
from benchmarks.measures import spread
from benchmarks.streams import Dataset
from learner.config import LearnerConfig
from learner.gate import GateConfig


def run_all(
    *, data: Path, tasks: int, shots: int, seeds: int, gate: str, json_path: Path | None
) -> list[CostResult]:
    """Run every seed, print ratios, write JSON where asked."""
    dataset, backbone = Dataset.load(data), load("minilm", threads=1)
    results = []
    for seed in range(seeds):
        config = LearnerConfig(seed=seed, gate=GateConfig.model_validate({"mode": gate}))
        stream = dataset.stream(tasks=tasks, shots=shots, seed=seed)
        results.append(run_cost(stream, backbone, config, lambda text: click.echo(text, err=True)))
    _print(results)
    write_json(json_path, {"rows": [result.as_json() for result in results]})
    return results


def _print(results: list[CostResult]) -> None:
    def line(name: str, values: list[float], promised: str = "") -> None:
        mean, deviation = spread(values)
        click.echo(f"{name:<44} {promised:>8} {mean:9.3f} ± {deviation:.3f}")

    line(f"training CPU s, task {EARLY}", [r.training_early for r in results])
    line(f"training CPU s, task {LATE}", [r.training_late for r in results])
    line(f"training, task {LATE} / task {EARLY}", [r.training_ratio for r in results], "≤ 1.15")
    line(f"request ms, after task {EARLY}", [r.request_early_ms for r in results])
    line(f"request ms, after task {LATE}", [r.request_late_ms for r in results])
    line(f"request, after {LATE} / after {EARLY}", [r.request_ratio for r in results], "≤ 1.15")
