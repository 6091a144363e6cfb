"""Tables for the pages of docs/."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of these lines."""
    table = (headings, ["-" for _ in headings], *lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in table)
