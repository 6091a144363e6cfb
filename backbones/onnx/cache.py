"""Exported graphs, kept on disk under a digest of everything that decides them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from backbones.errors import UnsupportedModel
from backbones.fingerprint import fingerprint
from backbones.sources import Source

log = logging.getLogger(__name__)

FORMAT: Final = "2"
"""Of graphs and their files; another one is exported anew."""
PATIENCE_SECONDS: Final = 600
"""How long an export may take; another process's is waited for as long."""
_DECIDING: Final = ("torch", "transformers", "timm", "onnx", "onnxscript")
_SAID: Final = 2000
"""Characters of a failed export's output that are passed on."""


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/perennial/onnx`, else below ~/.cache. Raises OSError without a home."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise OSError("this user has no home folder") from error
    return base / "perennial" / "onnx"


def exported(source: Source, options: Mapping[str, Any], cache: Path) -> Path:
    """The folder of a backbone's graph, exported in a process of its own where it is not there.

    options: of `backbones.load`, as far as they decide the graph. Who comes while another exports
    waits for that. Raises SourceError, UnsupportedModel, OSError (TimeoutError: the other hangs).
    """
    folder = cache / _digest(source, options)
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock", timeout=PATIENCE_SECONDS):
        if not folder.is_dir():
            log.info("exporting %s to ONNX, once: ten seconds to a minute", source.name)
            _export(source, options, folder)
    return folder


def _export(source: Source, options: Mapping[str, Any], folder: Path) -> None:
    """Into a folder beside it first, so that whoever finds it finds all of it."""
    prefix = f".export-{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):  # by one that was killed: the lock is ours now
        shutil.rmtree(left, ignore_errors=True)
    begun = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        _run(source, options, begun)
        begun.chmod(0o755)
        begun.rename(folder)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _run(source: Source, options: Mapping[str, Any], folder: Path) -> None:
    """The child ends with this process: its standard input is a pipe that closes then."""
    command = [sys.executable, "-P", "-m", "backbones.onnx.export"]
    command += [str(source.folder), str(folder), json.dumps(dict(options))]
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    listens, held = os.pipe()
    try:
        done = subprocess.run(
            command,
            stdin=listens,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsupportedModel(
            f"backbone {source.name!r} could not be exported to ONNX in {PATIENCE_SECONDS} s"
        ) from error
    finally:
        os.close(listens)
        os.close(held)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-_SAID:]
        raise UnsupportedModel(
            f"backbone {source.name!r} could not be exported to ONNX; the export ended with "
            f"{done.returncode}:\n{said}"
        )


def _digest(source: Source, options: Mapping[str, Any]) -> str:
    settings: dict[str, str | int] = {"format": FORMAT}
    settings |= {package: _version(package) for package in _DECIDING}
    settings |= {option: str(value) for option, value in options.items()}
    settings |= _beside(source.folder)
    return fingerprint(source.folder, source.weights(), settings)[:32]


def _beside(folder: Path) -> dict[str, str]:
    """What decides besides weights, config.json and tokenizer: how pixels are made, and for weights
    alone the folder's name, which is the architecture's."""
    pixels = folder / "preprocessor_config.json"
    named = {} if (folder / "config.json").is_file() else {"architecture": folder.name}
    return named | ({"pixels": pixels.read_text()} if pixels.is_file() else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
