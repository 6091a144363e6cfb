"""A version that gets a share of the unpinned requests, and which requests those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from backbones import Input
from prompt_store import Canary, Manifest
from serving.forward import Work
from serving.snapshot import Snapshot

CALLER: Final = "X-Perennial-Caller"
"""The header by which a caller sees one version for as long as a canary lasts."""

_READ: Final = 4096  # bytes of a text or an image that tell it from others well enough


@dataclass(frozen=True, eq=False)
class ServedCanary:
    """The canary of the log as this replica serves it. entry: the manifest that speaks of it."""

    entry: Manifest
    snapshot: Snapshot

    @property
    def terms(self) -> Canary:
        """What the log says of it."""
        assert self.entry.canary is not None, "only manifests of canaries begin one"
        return self.entry.canary

    def takes(self, work: Work, caller: str | None) -> bool:
        """Whether it is to answer. What it cannot know of is for live.

        A share that grows keeps those whom it had: they depend on the version, not on the share.
        """
        if self.snapshot.is_empty or (
            work.task is not None and work.task not in self.snapshot.tasks
        ):
            return False
        key = digest_of(work.inputs) if caller is None else caller.encode("utf-8", "replace")
        return 100 * place_of(key, self.terms.version) < self.terms.percent


def place_of(key: bytes, version: int) -> float:
    """Where between 0 and 1 a key stands; the same at every replica, another for each version."""
    salt = version.to_bytes(16, "big")
    return int.from_bytes(blake2b(key, digest_size=8, salt=salt).digest(), "big") / 2**64


def digest_of(inputs: Sequence[Input]) -> bytes:
    """The same for the same inputs, so that what is asked again is answered alike."""
    digest = blake2b(digest_size=16)
    for one in inputs:
        texts = [
            (text or "")[:_READ].encode("utf-8", "replace") for text in (one.text, one.text_pair)
        ]
        image = one.image or b""
        for part in (*texts, str(len(image)).encode(), image[:_READ], image[-_READ:]):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()
