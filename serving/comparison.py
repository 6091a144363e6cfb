"""How a canary does beside live, as one replica sees it, and whether that is harm.

In memory and from the last change of the canary on: replicas are disposable.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from prompt_store import HarmRules
from serving.feedback import Judged
from serving.forward import Result
from serving.metrics import Metrics

Arm = Literal["canary", "live"]
Right = Literal["both", "canary", "live", "neither"]
"""Whose answer to an input was right."""

PAIRS: Final = 10_000
"""Inputs that both answered, the newest, whose truth is waited for."""
TIMED: Final = 500
"""Requests of each arm, the newest, whose median is compared."""
FEWEST_TIMED: Final = 100
"""Of each arm, for a median to be compared."""
_LOOKS: Final = 20
"""Requests of the canary between two looks at the medians."""
_LIVE_WINS: Final = (0.6, 0.7, 0.8, 0.9)
"""Of the inputs that one of them answers rightly: shares of live's that would be harm."""


@dataclass
class _Pair:
    """What both said first of one input, and the truth; whichever comes when it comes."""

    live: tuple[str, str] | None = None
    judged: Judged | None = None


class Comparison:
    """Figures of one canary. Used from one event loop."""

    def __init__(self, rules: HarmRules, metrics: Metrics) -> None:
        self._rules = rules
        self._metrics = metrics
        self._pairs: OrderedDict[str, _Pair] = OrderedDict()
        self._seconds: dict[Arm, deque[float]] = {
            "canary": deque(maxlen=TIMED),
            "live": deque(maxlen=TIMED),
        }
        self._slow: str | None = None
        self.requests: Counter[Arm] = Counter()
        self.right: Counter[Right] = Counter()
        self.same = 0
        self.compared = 0
        self.errors = 0

    def answered(self, arm: Arm, seconds: float | None) -> None:
        """A request was. seconds: it took; None where it compares with no other."""
        self.requests[arm] += 1
        self._metrics.add("perennial_canary_requests", by=arm)
        if seconds is not None:
            self._seconds[arm].append(seconds)
            self._metrics.observe("perennial_canary_seconds", seconds, by=arm)
        if arm == "canary" and self.requests[arm] % _LOOKS == 0:
            self._slow = self._slowness()

    def failed(self) -> None:
        """The canary could not answer, and live did."""
        self.errors += 1
        self._metrics.add("perennial_canary_errors")

    def expect(self, name: str) -> None:
        """Live is about to answer what the canary's prediction of this name answered."""
        self._pairs[name] = _Pair()
        if len(self._pairs) > PAIRS:
            self._pairs.popitem(last=False)

    def compare(self, mine: Result, other: Result) -> None:
        """The canary's answer to an input, and live's."""
        same = mine.predictions[0][:2] == other.predictions[0][:2]
        self.same += same
        self.compared += 1
        self._metrics.add("perennial_canary_compared", answers="same" if same else "different")
        if (pair := self._pairs.get(mine.id)) is not None:
            pair.live = other.predictions[0][:2]
            self._settle(mine.id, pair)

    def heard(self, judged: Judged) -> None:
        """The truth about a prediction, of whatever version."""
        name = judged.truth.prediction_id
        if (pair := self._pairs.get(name)) is not None:
            pair.judged = judged
            self._settle(name, pair)

    def _settle(self, name: str, pair: _Pair) -> None:
        if pair.live is None or pair.judged is None:
            return
        del self._pairs[name]
        live = pair.live == (pair.judged.task, pair.judged.truth.label)
        canary = pair.judged.outcome == "right"
        right: Right = "both" if live and canary else "neither"
        if live != canary:
            right = "live" if live else "canary"
        self.right[right] += 1
        self._metrics.add("perennial_canary_feedback", right=right)

    def median_seconds(self, arm: Arm) -> float | None:
        """Of requests of one input, from the queue to the answer."""
        seconds = self._seconds[arm]
        return median(seconds) if seconds else None

    def harm(self) -> str | None:
        """Why the canary should end, None where nothing speaks against it."""
        if self.errors >= self._rules.errors:
            return f"errors: the canary failed {self.errors} requests, which live answered"
        live, canary = self.right["live"], self.right["canary"]
        if log_evidence(live, canary) >= -math.log(self._rules.false_alarms):
            return (
                f"feedback: of {live + canary} inputs that one of them answered rightly, live did "
                f"{live} and the canary {canary}"
            )
        return self._slow

    def _slowness(self) -> str | None:
        if min(map(len, self._seconds.values())) < FEWEST_TIMED:
            return None
        slow, usual = median(self._seconds["canary"]), median(self._seconds["live"])
        if slow <= self._rules.latency_ratio * usual:
            return None
        return (
            f"latency: a median of {1000 * slow:.1f} ms, and live's is {1000 * usual:.1f}; "
            f"more than {self._rules.latency_ratio:g} times as long"
        )


def log_evidence(live: int, canary: int) -> float:
    """Natural logarithm of a test martingale against "live wins at most half of these".

    A mixture of likelihood ratios over `_LIVE_WINS`. By Ville's inequality it passes 1/α with a
    probability of α at most where the canary is no worse, however often it is looked at (Ramdas et
    al., "Game-theoretic statistics and safe anytime-valid inference", 2023).
    """
    terms = [live * math.log(2 * p) + canary * math.log(2 * (1 - p)) for p in _LIVE_WINS]
    most = max(terms)
    return most + math.log(sum(math.exp(term - most) for term in terms) / len(terms))
