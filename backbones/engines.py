"""Which engine a process that only serves runs its backbone with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeAlias

from backbones.errors import BackboneError, SourceError, UnsupportedModel
from backbones.protocol import Backbone
from backbones.sources import Source, find

log = logging.getLogger(__name__)

Runtime: TypeAlias = Literal["auto", "onnx", "torch"]
Precision: TypeAlias = Literal["fp32", "int8"]

_NEEDED: Final = ("onnxruntime", "onnx", "onnxscript")
_GPU: Final = Path("/dev/nvidia0")


def load_to_serve(
    name: str,
    *,
    runtime: Runtime = "auto",
    threads: int | None = None,
    image_size: int | None = None,
    max_pixels: int | None = None,
    cache: Path | None = None,
) -> Backbone:
    """Load a backbone that need not train. Raises SourceError, UnsupportedModel.

    runtime: auto is ONNX Runtime on a CPU, where it is installed and the model can be exported,
        else torch; with ONNX Runtime the process never imports torch
    cache: where exported graphs are kept, None for the user's cache folder
    The other options are those of `load`.
    """
    if runtime == "onnx" or (runtime == "auto" and _suits_onnx()):
        try:
            return _onnx(name, threads, image_size, max_pixels, cache)
        except BackboneError as error:
            if runtime == "onnx":
                raise
            log.warning("serving with torch instead of ONNX Runtime: %s", error)
    from backbones import load

    return load(name, threads=threads, image_size=image_size, max_pixels=max_pixels)


def in_int8(backbone: Backbone) -> Backbone:
    """What serves, once more with its weights in int8: faster on a CPU, and less exact.

    It reads inputs as `backbone` does, and has a fingerprint of its own. Raises UnsupportedModel.
    """
    about = backbone.description
    if backbone.runtime != "onnx":
        raise UnsupportedModel(
            f"precision 'int8' needs ONNX Runtime on a CPU, and {about.name!r} is served with "
            f"{backbone.runtime}: choose runtime 'onnx', or precision 'fp32'"
        )
    from backbones.onnx.backbone import OnnxBackbone

    assert isinstance(backbone, OnnxBackbone), "no other class runs on ONNX Runtime"
    with _kept(about.name):
        return backbone.quantised()


def _suits_onnx() -> bool:
    return not _GPU.exists() and not _missing()


def _missing() -> list[str]:
    return [package for package in _NEEDED if not find_spec(package)]


def _onnx(
    name: str,
    threads: int | None,
    image_size: int | None,
    max_pixels: int | None,
    cache: Path | None,
) -> Backbone:
    if missing := _missing():
        raise UnsupportedModel(
            f"runtime 'onnx' needs {', '.join(missing)}: pip install 'perennial[cpu]', or choose "
            "runtime 'torch'"
        )
    from backbones.onnx.backbone import OnnxBackbone
    from backbones.onnx.cache import default_folder, exported

    options = {} if image_size is None else {"image_size": image_size}
    source = _source(name)
    with _kept(name):
        folder = exported(source, options, cache or default_folder())
    return OnnxBackbone.load(folder, name, threads=threads, max_pixels=max_pixels)


@contextmanager
def _kept(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnsupportedModel(
            f"the export of {name!r} to ONNX cannot be kept ({error}); point XDG_CACHE_HOME to a "
            "folder that can be written, or choose runtime 'torch' and precision 'fp32'"
        ) from error


def _source(name: str) -> Source:
    """Where the files are. What has no other meaning is looked for among timm's on the Hub."""
    try:
        return find(name)
    except SourceError:
        if "/" in name:
            raise
        with suppress(SourceError):
            return find(f"timm/{name}")
        raise
