"""How long an input takes, by the passes that were."""

from __future__ import annotations

from typing import Final

_KEPT: Final = 0.9
"""Of what is remembered, at each pass: it counts the last ten or so."""


class Pace:
    """Seconds an input takes while others wait: what the engine does at its best, and now.

    A pass with nothing behind it says little, for it may have been of one input alone. It is heard
    where it was quicker: so a slow moment is forgotten also when nobody waits any more.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._inputs = 0.0

    @property
    def seconds(self) -> float:
        """An input takes; 0 while unknown."""
        return self._seconds / self._inputs if self._inputs else 0.0

    def record(self, inputs: int, seconds: float, *, more: bool) -> None:
        """Of one pass. more: whether inputs were left waiting."""
        if more:
            self._seconds = _KEPT * self._seconds + seconds
            self._inputs = _KEPT * self._inputs + inputs
        elif seconds < self.seconds * inputs:
            self._seconds, self._inputs = seconds, inputs
