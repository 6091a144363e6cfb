"""A labelled batch as a caller hands it in, and as the intake keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from backbones import Input
from prompt_store import Batch, Example, batch_id
from serving.audit import acting
from serving.trace import trace


@dataclass(frozen=True)
class Labelled:
    """One example. id: the caller's own name for it, None where it gives none."""

    input: Input
    label: str
    id: str | None = None


@dataclass(frozen=True)
class Submission:
    """One POST of examples. caller: the key's name; key: the idempotency key.

    member: of the body, that holds them; refusals point there
    """

    task: str
    examples: tuple[Labelled, ...]
    caller: str
    key: str | None = None
    member: str = "examples"

    @property
    def labels(self) -> set[str]:
        return {one.label for one in self.examples}

    def batch_id(self) -> str:
        """The id for this caller's idempotency key (two callers never share one), or a new one."""
        return batch_id(None if self.key is None else f"{self.caller}\n{self.key}")

    def body_digest(self) -> str:
        """SHA-256 of what the body says; spacing and the order of members don't count."""
        examples = [
            [one.id, one.label, one.input.text, one.input.text_pair, _digest(one.input.image)]
            for one in self.examples
        ]
        return hashlib.sha256(orjson.dumps([self.task, examples])).hexdigest()

    def batch(self, keep_image: Callable[[bytes], str]) -> Batch:
        """The record for the intake. keep_image: stores an image's bytes, returns their digest."""
        name, known = self.batch_id(), trace.get()
        return Batch(
            id=name,
            task=self.task,
            received_at=datetime.now(UTC),
            body_digest=self.body_digest(),
            examples=tuple(
                _example(one, f"{name}-{index}", keep_image)
                for index, one in enumerate(self.examples)
            ),
            traceparent=None if known is None else known.parent,
            actor=acting.get(),
            via=self.member,
        )


def _example(one: Labelled, name: str, keep_image: Callable[[bytes], str]) -> Example:
    return Example(
        id=one.id or name,
        label=one.label,
        text=one.input.text,
        text_pair=one.input.text_pair,
        image=None if one.input.image is None else keep_image(one.input.image),
    )


def _digest(image: bytes | None) -> str | None:
    return None if image is None else hashlib.sha256(image).hexdigest()
