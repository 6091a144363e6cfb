"""A virtual environment for each peer, made once and kept in the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from benchmarks.peers.peer import FOLDER, Peer

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
THREADS = {"OMP_NUM_THREADS": "1"}
LOG_CHARACTERS = 2000


class InstallFailed(RuntimeError):
    """A peer's environment could not be made; carries the end of pip's answer."""


def install(peer: Peer, cache: Path, say: Callable[[str], None]) -> Path:
    """The Python of a peer's environment, made if it is not there. Raises InstallFailed."""
    if peer.requirements is None:
        return Path(sys.executable)
    digest = sha256(peer.requirements.read_bytes()).hexdigest()[:12]
    folder = (cache / "venvs" / f"{peer.name}-{digest}").absolute()
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        say(f"{peer.name}: installing into {folder} (a minute or two)")
        _call(peer, [sys.executable, "-m", "venv", "--clear", str(folder)])
        _call(peer, [str(python), "-m", "pip", "install", "-q", "-r", str(peer.requirements)])
        done.touch()
    return python


def variables(peer: Peer, folder: Path) -> dict[str, str]:
    """Environment of a peer's script: no hub, one thread, and of this project nothing but a copy of
    this package in `folder`."""
    settings = {**os.environ, **OFFLINE, **THREADS}
    if peer.requirements is not None:
        _copy_package(folder)
        settings["PYTHONPATH"] = str(folder)
    return settings


def _copy_package(folder: Path) -> None:
    target = folder / "benchmarks" / "peers"
    target.mkdir(parents=True)
    for source in (FOLDER.parent / "__init__.py", *FOLDER.glob("*.py")):
        shutil.copy(source, folder / "benchmarks" / source.relative_to(FOLDER.parent))


def _call(peer: Peer, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InstallFailed(
            f"{peer.name} could not be installed: {' '.join(command)} ended with "
            f"{done.returncode}:\n{(done.stdout + done.stderr)[-LOG_CHARACTERS:]}"
        )
