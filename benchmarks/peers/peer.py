"""Who is compared: a name, a script, and what it needs installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A system that `script` puts through the examination.

    requirements: what its own environment holds, pinned; None: it runs in this one.
    """

    name: str
    script: Path
    requirements: Path | None

    @classmethod
    def in_folder(cls, name: str, folder: Path) -> Peer:
        """The peer whose `run.py`, and perhaps `requirements.txt`, lie in `folder`."""
        requirements = folder / "requirements.txt"
        return cls(name, folder / "run.py", requirements if requirements.exists() else None)


PEERS = {
    name: Peer.in_folder(name, FOLDER / folder)
    for name, folder in {
        "perennial": "perennial_server",
        "adaptive-classifier": "adaptive_classifier",
        "setfit": "setfit",
    }.items()
}
