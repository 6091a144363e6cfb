"""How fast one key may send: a token bucket of inputs, which may be overdrawn.

How many inputs a request holds is known once its body is read. So a request comes in where one
token is left, and pays for the rest then: on the average the rate is exact, a body is never read
in vain, and a batch larger than the bucket is no special case.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Allowance:
    """One key's bucket in this replica. For one event loop."""

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """burst: inputs after a quiet time; clock: seconds."""
        self.per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def enter(self) -> int:
        """Take a token, if one is left. Returns 0, or the whole seconds until there is one."""
        seconds = self.wait()
        if not seconds:
            self._tokens -= 1
        return math.ceil(seconds)

    def pay(self, inputs: int) -> None:
        """Take the tokens of inputs that came with a request; there may be fewer."""
        self._tokens -= inputs

    def wait(self) -> float:
        """Seconds until a token is left; 0 where there is one."""
        now = self._clock()
        filled = self._tokens + (now - self._filled_at) * self.per_second
        self._tokens, self._filled_at = min(self._burst, filled), now
        return max(0.0, (1 - self._tokens) / self.per_second)
