"""Whether this process may use an NVIDIA GPU, told without loading a library for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_DEVICES: Final = Path("/dev")


def visible(devices: Path = _DEVICES) -> bool:
    """There is one, and CUDA_VISIBLE_DEVICES does not hide all of them.

    devices: the folder of the machine's devices
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(devices.glob("nvidia[0-9]*"))
