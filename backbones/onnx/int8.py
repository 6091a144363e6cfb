"""An exported graph in int8: made once from the export, and kept beside it.

Weights of matrix products are rounded when the graph is made, each output channel on a scale of its
own; what they are multiplied with is rounded in each pass. Whether that is exact enough is not
judged here: it depends on what is told apart by it (`learner.int8`).

`python -m backbones.onnx.int8 GRAPH NEW` quantises, in a process of its own: it needs onnx.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from pathlib import Path
from typing import Final

import onnxruntime

from backbones.onnx import child
from backbones.onnx.cache import made_once
from backbones.onnx.exported import GRAPH

FORMAT: Final = "1"
"""Of how graphs are quantised; another one is made anew."""


def quantised(export: Path, name: str) -> Path:
    """The folder of an export's int8 graph, called by a digest of all that decides its numbers.

    name: of the backbone, for messages. Raises UnsupportedModel, OSError.
    """

    def quantise(folder: Path) -> None:
        graphs = [str(export / GRAPH), str(folder / GRAPH)]
        child.run(__name__, graphs, f"backbone {name!r} could not be quantised to int8")

    return made_once(export.parent / _digest(export.name), quantise, f"quantising {name} to int8")


def _digest(export: str) -> str:
    deciding = (FORMAT, export, onnxruntime.__version__, _processor())
    return hashlib.sha256("\n".join(deciding).encode()).hexdigest()[:32]


def _processor() -> str:
    """Where x86 lacks VNNI, sums of int8 products saturate: one graph, other numbers."""
    about = Path("/proc/cpuinfo")
    exact = about.exists() and "vnni" in about.read_text()
    return f"{platform.machine()} {'vnni' if exact else ''}"


def main(graph: str, new: str) -> None:
    """Quantise what multiplies by weights; products of two activations stay as they are."""
    child.end_with_the_parent()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        new,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
