"""Which engine a process that only serves runs its backbone with."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeAlias

from backbones import gpu
from backbones.contest import Chosen, fastest
from backbones.errors import BackboneError, SourceError, UnsupportedModel
from backbones.protocol import Backbone
from backbones.sources import Source, find, refuse_image_size

log = logging.getLogger(__name__)

Runtime: TypeAlias = Literal["auto", "onnx", "torch", "fastest"]
Precision: TypeAlias = Literal["fp32", "bf16", "int8"]

_NEEDED: Final = ("onnxruntime", "onnx", "onnxscript")


def load_to_serve(
    name: str,
    *,
    runtime: Runtime = "auto",
    threads: int | None = None,
    image_size: int | None = None,
    max_pixels: int | None = None,
    cache: Path | None = None,
) -> Backbone:
    """Load a backbone that need not train, as `choose_to_serve`, which also tells its choice."""
    return choose_to_serve(
        name,
        runtime=runtime,
        threads=threads,
        image_size=image_size,
        max_pixels=max_pixels,
        cache=cache,
    ).backbone


def choose_to_serve(
    name: str,
    *,
    runtime: Runtime = "auto",
    threads: int | None = None,
    image_size: int | None = None,
    max_pixels: int | None = None,
    cache: Path | None = None,
) -> Chosen:
    """Load a backbone that need not train. Raises SourceError, UnsupportedModel.

    runtime: fastest loads both engines, times them and keeps one. auto is ONNX Runtime on a CPU,
        where it is installed and the model can be exported, else torch; where both can use a GPU,
        the fastest. With ONNX Runtime alone the process never imports torch
    cache: where exported graphs are kept, None for the user's cache folder
    The other options are those of `load`.
    """
    onnx = partial(_onnx, name, threads, image_size, max_pixels, cache)
    torch = partial(_torch, name, threads, image_size, max_pixels)
    if runtime == "onnx":
        return Chosen(onnx(), "onnx was asked for")
    if runtime == "torch":
        return Chosen(torch(), "torch was asked for")
    if runtime == "fastest" or (gpu.visible() and _onnx_uses_it()):
        return _contest([onnx, torch])
    if gpu.visible():
        return Chosen(torch(), "there is a GPU, and ONNX Runtime cannot use it")
    return _onnx_else_torch(onnx, torch)


def in_int8(backbone: Backbone) -> Backbone:
    """What serves, once more with its weights in int8, on the CPU: faster there, and less exact.

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


def in_bf16(backbone: Backbone) -> Backbone:
    """What serves with torch, once more with its layers in bf16: features differ by about 1e-2.

    It keeps its fingerprint: heads and prompts learnt in fp32 are served by it. Raises
    UnsupportedModel.
    """
    if backbone.runtime != "torch":
        raise UnsupportedModel(
            f"precision 'bf16' needs torch, and {backbone.description.name!r} is served with "
            f"{backbone.runtime}: choose runtime 'torch', or precision 'fp32'"
        )
    from backbones.passes.backbone import TorchBackbone

    assert isinstance(backbone, TorchBackbone), "no other class runs on torch"
    return backbone.in_bf16()


def _contest(loaders: Sequence[Callable[[], Backbone]]) -> Chosen:
    """The fastest of the engines that can be loaded. The others are dropped."""
    engines: list[Backbone] = []
    refused: list[BackboneError] = []
    for load in loaders:
        try:
            engines.append(load())
        except BackboneError as error:
            log.warning("an engine takes no part in the choice of the fastest: %s", error)
            refused.append(error)
    if not engines:
        raise refused[0]
    if refused:
        return Chosen(engines[0], f"the other engine cannot serve it: {refused[0]}")
    chosen = fastest(engines)
    engines.clear()
    _give_back()
    return chosen


def _give_back() -> None:
    """Memory of what was dropped."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()


def _onnx_else_torch(onnx: Callable[[], Backbone], torch: Callable[[], Backbone]) -> Chosen:
    if missing := _missing():
        return Chosen(torch(), f"for ONNX Runtime {', '.join(missing)} would have to be installed")
    try:
        return Chosen(onnx(), "the choice on a CPU")
    except SourceError:
        raise  # torch would not find it either
    except BackboneError as error:
        log.warning("serving with torch instead of ONNX Runtime: %s", error)
        return Chosen(torch(), f"ONNX Runtime cannot serve it: {error}")


def _missing() -> list[str]:
    return [package for package in _NEEDED if not find_spec(package)]


def _onnx_uses_it() -> bool:
    if _missing():
        return False
    from backbones.onnx.session import cuda_is_here

    return cuda_is_here()


def _torch(
    name: str, threads: int | None, image_size: int | None, max_pixels: int | None
) -> Backbone:
    from backbones import load

    return load(name, threads=threads, image_size=image_size, max_pixels=max_pixels)


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
    if source.reads_texts:
        refuse_image_size(name, image_size)
    with _kept(name):
        folder = exported(source, options, cache or default_folder())
    return OnnxBackbone.load(folder, name, threads=threads, max_pixels=max_pixels, device="auto")


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
    except SourceError as error:
        if "/" in name:
            raise
        try:
            return find(f"timm/{name}")
        except SourceError as other:
            raise SourceError(f"{error}; nor can it be had as a model of timm: {other}") from error
