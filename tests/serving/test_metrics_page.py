"""docs/metrics.md lists what is measured; `python -m tests.serving.test_metrics_page` writes it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.published import between
from serving.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def _table() -> str:
    lines = ["| metric | kind | labels | what | all replicas |", "|---|---|---|---|---|"]
    for name, metric in METRICS.items():
        exported = name + "_total" * (metric.kind == "counter")
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        measured = "the same" if metric.shared else "their own"
        lines.append(f"| `{exported}` | {metric.kind} | {labels} | {metric.help} | {measured} |")
    return "\n".join(lines)


def _page() -> str:
    return between(PAGE.read_text(), "metrics", _table())


def test_the_page_lists_what_is_measured() -> None:
    assert PAGE.read_text() == _page()


if __name__ == "__main__":
    PAGE.write_text(_page())
