"""Exported graphs, kept on disk under a digest of everything that decides them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from backbones.fingerprint import fingerprint
from backbones.onnx import child
from backbones.sources import Source

log = logging.getLogger(__name__)

FORMAT: Final = "3"
"""Of graphs and their files; another one is exported anew."""
_DECIDING: Final = ("torch", "transformers", "timm", "onnx", "onnxscript")


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/perennial/onnx`, else below ~/.cache. Raises OSError without a home."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise OSError("this user has no home folder") from error
    return base / "perennial" / "onnx"


def exported(source: Source, options: Mapping[str, Any], cache: Path) -> Path:
    """The folder of a backbone's graph, exported in a process of its own where it is not there.

    options: of `backbones.load`, as far as they decide the graph.
    Raises SourceError, UnsupportedModel, OSError (TimeoutError: another process hangs).
    """

    def export(folder: Path) -> None:
        arguments = [str(source.folder), str(folder), json.dumps(dict(options))]
        failure = f"backbone {source.name!r} could not be exported to ONNX"
        child.run("backbones.onnx.export", arguments, failure)

    doing = f"exporting {source.name} to ONNX, once: ten seconds to a minute"
    return made_once(cache / _digest(source, options), export, doing)


def made_once(folder: Path, make: Callable[[Path], None], doing: str) -> Path:
    """`folder`, filled by `make` where it is not there; who comes meanwhile waits for that.

    doing: for the log. Raises what `make` raises, OSError (TimeoutError: another process hangs).
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=child.PATIENCE_SECONDS):
        if not folder.is_dir():
            log.info("%s", doing)
            _make(folder, make)
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Into a folder beside it first, so that whoever finds it finds all of it."""
    prefix = f".begun-{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):  # by one that was killed: the lock is ours now
        shutil.rmtree(left, ignore_errors=True)
    begun = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        make(begun)
        begun.chmod(0o755)
        begun.rename(folder)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


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
