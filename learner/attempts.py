"""How often work failed for reasons nobody foresaw: after a few times it must not block others."""

from __future__ import annotations

from collections import Counter

from learner.errors import LearnerError
from prompt_store import StoreError

MOST = 3
"""Attempts after which an unforeseen error is taken to be the work's own fault."""
OUTER_ERRORS = (LearnerError, StoreError, OSError, MemoryError)
"""The machine's or the store's fault, or on purpose: they never count against the work."""


class Attempts:
    """Failures by name, in this process only: a restart begins anew."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()

    def __getitem__(self, name: str) -> int:
        return self._failures[name]

    def are_used_up_by(self, name: str) -> bool:
        """Count a failure; whether it was the last attempt."""
        self._failures[name] += 1
        return self._failures[name] >= MOST

    def forget(self, name: str) -> None:
        """It went well, or was given up."""
        del self._failures[name]
