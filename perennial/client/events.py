"""Server-sent events (WHATWG HTML, section 9.2.6), as far as this API uses them.

Written out because it is thirty lines: fields `event`, `data`, `id`, comments (`:`) as heartbeats.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event. name: what happened; data: its JSON members; id: its place in the stream."""

    name: str
    data: dict[str, Any]
    id: str | None = None


class EventParser:
    """Folds the lines of a stream (without their ends) into events."""

    def __init__(self) -> None:
        self._name = "message"
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, line: str) -> Event | None:
        """The event that this line completes, if it completes one (an empty line does)."""
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id":
            self._id = value
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "message", []
        return Event(name, _members(data), self._id) if data else None


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a finished or running stream of lines."""
    parser = EventParser()
    for line in lines:
        event = parser.feed(line)
        if event is not None:
            yield event


def _members(data: str) -> dict[str, Any]:
    """The JSON object of an event; anything else is kept under `text`."""
    try:
        members = json.loads(data)
    except ValueError:
        return {"text": data}
    return members if isinstance(members, dict) else {"text": data}
