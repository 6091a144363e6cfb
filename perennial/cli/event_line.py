"""What a person reads of an event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from perennial.cli.answered_before import answered_before
from perennial.client import Event, Prequential

_SAID_OTHERWISE = frozenset(
    {"at", "kind", "task", "phase", "epoch", "epochs", "loss", "remaining_seconds"}
    | {"version", "batches", "prequential", "message"}
)


def event_line(event: Event) -> str:
    """For instance `12:00:01  refreshed  version 4, 1 batch, answered before: 33/40 + 8 new`."""
    at = event.data.get("at")
    moment = datetime.fromtimestamp(at) if isinstance(at, int | float) else datetime.now()
    told = {"progress": _progress}.get(event.name, _outcome)(event.data)
    if event.name == "candidate" and "version" in event.data:
        told += f" (perennial versions {event.data['version']})"
    return f"{moment:%H:%M:%S}  {event.name:<10} {told}".rstrip()


def phase_words(data: dict[str, Any]) -> str:
    """For instance `training, epoch 2 of 5, loss 0.41, 12 s left`."""
    parts = [str(data["phase"])]
    if data.get("epoch") is not None:
        parts.append(f"epoch {data['epoch']} of {data.get('epochs', '?')}")
    if isinstance(data.get("loss"), int | float):
        parts.append(f"loss {data['loss']:.2f}")
    if isinstance(data.get("remaining_seconds"), int | float):
        parts.append(f"{data['remaining_seconds']:.0f} s left")
    return ", ".join(parts)


def _progress(data: dict[str, Any]) -> str:
    words = phase_words(data) if data.get("phase") else "working"
    return f"{data['task']}: {words}" if data.get("task") else words


def _outcome(data: dict[str, Any]) -> str:
    """What is known by name in words, and what newer servers add as it comes."""
    parts = [f"version {data['version']}"] if data.get("version") is not None else []
    if data.get("task"):
        parts.append(f"task {data['task']}")
    if batches := len(data.get("batches") or ()):
        parts.append("1 batch" if batches == 1 else f"{batches} batches")
    tasks = (data.get("prequential") or {}).values()
    if before := answered_before(Prequential.model_validate(one) for one in tasks):
        parts.append(f"answered before: {before}")
    if data.get("message"):
        parts.append(str(data["message"]))
    parts += [
        f"{name}={value}"
        for name, value in data.items()
        if name not in _SAID_OTHERWISE and value not in (None, [], "")
    ]
    return ", ".join(parts)
