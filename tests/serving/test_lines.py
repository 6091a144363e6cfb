"""Cutting bytes into lines, however they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.lines import Line, LineSplitter

MOST = 5

PARTS = st.lists(st.text("a \n", max_size=8).map(str.encode), max_size=8)


def _cut(parts: list[bytes]) -> list[Line]:
    splitter = LineSplitter(MOST)
    found = [line for part in parts for line in splitter.feed(part)]
    return [*found, *splitter.end()]


@given(PARTS)
def test_lines_are_the_same_however_they_are_cut(parts: list[bytes]) -> None:
    expected = [
        Line(number, content if len(content) <= MOST else None)
        for number, content in enumerate(b"".join(parts).split(b"\n"), start=1)
        if content.strip() or len(content) > MOST
    ]
    assert _cut(parts) == expected


def test_a_line_comes_as_soon_as_it_ends() -> None:
    splitter = LineSplitter(MOST)
    assert list(splitter.feed(b"a\n\nb")) == [Line(1, b"a")]
    assert list(splitter.feed(b"c\r\n")) == [Line(3, b"bc\r")]
    assert list(splitter.end()) == []
