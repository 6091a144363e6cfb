"""What the demo needs beyond a plain installation."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

NEEDED: Final = {"sklearn": "scikit-learn", "matplotlib": "matplotlib"}
"""Modules, and the packages they come in: the digits; the letters' fonts and the picture."""


class NotInstalled(RuntimeError):
    """A package of the extra `demo` is missing; the message names the remedy."""


def check_installed() -> None:
    """Raises NotInstalled."""
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise NotInstalled(
            f"the demo needs {' and '.join(missing)}: run `pip install 'perennial[demo]'`"
        )
