"""How something changes with time: a straight line through what was seen, and its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from scipy.stats import linregress


@dataclass(frozen=True)
class Trend:
    """first, last: by the line, at its ends;  slope: an hour;  error: of the slope, one standard
    error by least squares (too small where neighbours in time are alike)"""

    first: float
    last: float
    slope: float
    error: float


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """Of (hours, value). With fewer than three points nothing can be said: all is NaN."""
    if len(points) < 3:
        return Trend(nan, nan, nan, nan)
    hours, values = zip(*points, strict=True)
    line = linregress(hours, values)
    first, last = (float(line.intercept + line.slope * hour) for hour in (hours[0], hours[-1]))
    return Trend(first, last, slope=float(line.slope), error=float(line.stderr))
