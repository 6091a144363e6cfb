"""Short ways to make what the store stores."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from prompt_store import (
    Batch,
    Canary,
    Draft,
    Example,
    Kind,
    MethodReference,
    Outcome,
    Store,
    TaskEntry,
)
from prompt_store.batch_ids import batch_id

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = NOON.timestamp()) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def draft(kind: Kind = Kind.REFRESH, epoch: int = 0, **fields: Any) -> Draft:
    """A small valid draft; marks get no content, canaries version 1, rollbacks the source 1."""
    content: dict[str, Any] = {}
    if kind is Kind.CANARY:
        content["canary"] = Canary(version=1, percent=5)
    if kind not in (Kind.FENCE, Kind.CANARY):
        content = {
            "backbone": "fingerprint",
            "method": MethodReference(name="qtuning", config_digest="c0ffee"),
            "labels": ("mail/refund", "mail/größe"),
            "tasks": {"mail": TaskEntry(classes=2, examples=7, row=None, mode="frozen")},
        }
    if kind in (Kind.ROLLBACK, Kind.PROMOTE):
        content["source"] = 1
    return Draft(**{"kind": kind, "epoch": epoch, "writer": "test", **content, **fields})


def batch(identifier: str | None = None, body: str = "body", task: str = "mail") -> Batch:
    """One batch of two examples, one of them in letters that ASCII lacks."""
    examples = (
        Example(id="0", label="refund", text="money back"),
        Example(id="1", label="größe", text="日本語 🙂", text_pair="second"),
    )
    return Batch(
        id=identifier or batch_id(),
        task=task,
        received_at=NOON,
        body_digest=hashlib.sha256(body.encode()).hexdigest(),
        examples=examples,
    )


def published(of: str, version: int = 1) -> Outcome:
    return Outcome(batch=of, task="mail", status="published", version=version)


def append(store: Store, kind: Kind = Kind.REFRESH, **fields: Any) -> int:
    """Append to the end of the log with the newest epoch; return the version."""
    timeline = store.timeline()
    epoch = timeline.epoch + (kind is Kind.FENCE)
    return store.append(draft(kind, epoch, **fields), after=timeline.head).version
