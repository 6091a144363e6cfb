"""A graph in ONNX Runtime: on the CPU, or on CUDA with the banks kept there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from backbones import gpu
from backbones.arrays import FloatArray, IntArray
from backbones.onnx.exported import OUTPUTS

log = logging.getLogger(__name__)

Device: TypeAlias = Literal["auto", "cpu"]
Fed: TypeAlias = Any
"""An array, or an OrtValue (ONNX Runtime has no types) that holds one on the session's device."""

_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_ON_CUDA: Final = {
    "use_tf32": "0",  # fp32 is fp32; who wants it faster chooses a precision
    "cudnn_conv_algo_search": "HEURISTIC",  # else each new batch size is tried out for a second
}


def cuda_is_here() -> bool:
    """This ONNX Runtime was built for CUDA, and there is a device."""
    return gpu.visible() and _CUDA in onnxruntime.get_available_providers()


class Session:
    """Runs one graph. Safe to use from many threads. device: "cpu" or "cuda", where it runs"""

    def __init__(self, graph: Path, threads: int | None, device: Device) -> None:
        """Load `graph`; raises what ONNX Runtime raises.

        threads: of one pass on the CPU, None for ONNX Runtime's choice
        device: auto is CUDA where `cuda_is_here`; where that fails, the CPU, with a warning
        """
        wanted = device == "auto" and cuda_is_here()
        if wanted:
            onnxruntime.preload_dlls()  # those that pip installed beside torch
        providers = [(_CUDA, _ON_CUDA), _CPU] if wanted else [_CPU]
        self._session: Final = onnxruntime.InferenceSession(
            str(graph), _options(threads), providers=providers
        )
        self._session.disable_fallback()
        self.device: Final = "cuda" if _CUDA in self._session.get_providers() else "cpu"
        if wanted and self.device == "cpu":
            log.warning("ONNX Runtime could not use CUDA, as it says above: it computes on the CPU")
        self._shrinking: Final = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def kept(self, array: NDArray[Any]) -> Fed:
        """What to feed in the place of an array of many passes: on CUDA it is copied there once."""
        if self.device == "cpu":
            return array
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self.device)

    def run(self, fed: Mapping[str, Fed], *, large: bool) -> tuple[FloatArray, IntArray]:
        """Pooled states (B, L + 1, D) and rows (B,), from arrays and what `kept` gave.

        large: give the memory of this pass back, which would be kept for ever
        """
        states, taken = self._session.run(list(OUTPUTS), fed, self._shrinking if large else None)
        return np.asarray(states), np.asarray(taken)


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from the learner and from other replicas.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    return options
