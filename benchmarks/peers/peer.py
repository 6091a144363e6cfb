"""Who is compared: a name, a script, and what it needs installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A system that `script` puts through the examination, or serves.

    requirements: what its own environment holds, pinned; None: it runs in this one.
    """

    name: str
    script: Path
    requirements: Path | None

    @classmethod
    def in_folder(cls, name: str, folder: Path, script: str = "run.py") -> Peer:
        """The peer whose `script`, and perhaps `requirements.txt`, lie in `folder`."""
        requirements = folder / "requirements.txt"
        return cls(name, folder / script, requirements if requirements.exists() else None)


PEERS = {
    name: Peer.in_folder(name, FOLDER / folder)
    for name, folder in {
        "perennial": "perennial_server",
        "adaptive-classifier": "adaptive_classifier",
        "setfit": "setfit",
    }.items()
}
"""Systems that learn: `perennial bench peers`."""

SERVING_PEERS = {
    name: Peer.in_folder(name, FOLDER / folder, "serve.py")
    for name, folder in {
        "fastapi-transformers": "fastapi_transformers",
        "litserve": "litserve",
        "adaptive-classifier": "adaptive_classifier",
    }.items()
}
"""Systems that serve: `perennial bench load --peers`."""
