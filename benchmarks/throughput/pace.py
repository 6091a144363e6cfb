"""How fast texts pass, and what each takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """texts: a second;  cpu: milliseconds a text, of all processes and threads that answer.

    CPU time tells what a machine of two threads on one core hides: there the load generator slows
    whom it loads.
    """

    texts: float
    cpu: float
