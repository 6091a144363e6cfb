"""How many cores there really are: containers and affinity masks may allow fewer than there are."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Cores this process may use, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, _cgroup_cores()))


def encoder_threads(configured: int | None) -> int:
    """Threads of a replica's encoder: as configured, else all cores but one, left to learning."""
    return configured if configured is not None else max(1, available_cores() - 1)


def _cgroup_cores() -> int:
    try:
        quota, period = CGROUP_LIMIT.read_text().split()
    except (OSError, ValueError):
        return os.cpu_count() or 1
    return os.cpu_count() or 1 if quota == "max" else math.ceil(int(quota) / int(period))
