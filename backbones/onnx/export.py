"""Write a torch backbone as an ONNX graph with what reads its inputs. Needs torch and onnx.

`python -m backbones.onnx.export NAME FOLDER OPTIONS` does so in a process of its own, so that a
server does not keep torch in memory.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from PIL import Image

from backbones.errors import UnsupportedModel
from backbones.images import encoded
from backbones.inputs import Input
from backbones.onnx import child
from backbones.onnx.entries import PackedEntry, PixelEntry, TokenEntry
from backbones.onnx.exported import GRAPH, INPUTS, OUTPUTS, Exported
from backbones.onnx.graph import Entry, PassGraph
from backbones.onnx.readers import ImageReader, PackedTextReader, Reader, TextReader
from backbones.text.backbone import TorchTextBackbone
from backbones.vision.backbone import TorchVisionBackbone

if TYPE_CHECKING:
    from backbones.passes.backbone import TorchBackbone

OPSET: Final = 20
_MANY: Final = 1 << 16
"""More examples, prefixes, rows of a prefix or routes than anybody asks for at once."""


def export(backbone: TorchBackbone[Any], folder: Path) -> None:
    """Write the graph and its reader into an empty folder, and see that they do the same.

    Raises UnsupportedModel where they do not.
    """
    about = backbone.description
    entry, reader = _parts(backbone)
    graph = PassGraph(backbone.encoder, entry, about.layers, about.first_prompted).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            _example(backbone, entry),
            str(folder / GRAPH),
            input_names=[*entry.names, *INPUTS],
            output_names=list(OUTPUTS),
            dynamic_shapes=_dynamic(entry),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    Exported(about, reader).save(folder)
    _check(backbone, folder)


def _check(backbone: TorchBackbone[Any], folder: Path) -> None:
    """On a batch of another shape than the traced one: an axis may have been taken for fixed."""
    from backbones.checks import check_same
    from backbones.onnx.backbone import OnnxBackbone

    name = backbone.description.name
    try:
        check_same(
            backbone, OnnxBackbone.load(folder, name), _inputs(backbone.description.modality)
        )
    except Exception as error:  # ONNX Runtime's own errors have no common class
        raise UnsupportedModel(
            f"the graph of {name!r} does not do what it should: {error}"
        ) from error


def _inputs(modality: str) -> list[Input]:
    if modality == "text":
        texts = ("one", "two words", "a text that is longer than the others", "the last of four")
        return [Input(text=text) for text in texts]
    noise = (Image.effect_noise((40 + number, 30), 60).convert("RGB") for number in range(4))
    return [Input(image=encoded(one, "PNG")) for one in noise]


def _parts(backbone: TorchBackbone[Any]) -> tuple[Entry, Reader]:
    about = backbone.description
    if isinstance(backbone, TorchVisionBackbone):
        transform = backbone.transform
        entry = PixelEntry(transform.size, transform.tokens, backbone.normalisation)
        return entry, ImageReader(transform)
    if isinstance(backbone, TorchTextBackbone):
        tokens, encoder = backbone.tokens, backbone.encoder
        if encoder.packs:
            reader = PackedTextReader(tokens, encoder.first_position)
            return PackedEntry(about.max_length, types=tokens.types), reader
        return TokenEntry(about.max_length, types=tokens.types), TextReader(tokens)
    raise UnsupportedModel(f"backbone {about.name!r}: a {type(backbone).__name__} has no graph")


def _example(backbone: TorchBackbone[Any], entry: Entry) -> tuple[Any, ...]:
    """Every axis longer than 1 and of a length of its own, lest one be taken for another."""
    about = backbone.description
    examples, prefixes, length, routes = 3, 5, 4, 6
    return (
        entry.example(examples),
        torch.zeros(prefixes, *about.prefix_shape(length)),
        torch.zeros(prefixes, about.prompted_layers, about.heads, length),
        torch.tensor([-1, 2, -1]),
        torch.zeros((about.first_prompted + 1) * about.width, routes),
        torch.zeros(routes),
        torch.zeros(routes, dtype=torch.long),
        torch.zeros(routes, dtype=torch.long),
    )


def _dynamic(entry: Entry) -> tuple[Any, ...]:
    examples, prefixes, length, routes = (
        torch.export.Dim(name, min=1, max=_MANY)
        for name in ("examples", "prefixes", "length", "routes")
    )
    return (
        entry.dynamic(examples),
        {0: prefixes, 4: length},
        {0: prefixes, 3: length},
        {0: examples},
        {1: routes},
        {0: routes},
        {0: routes},
        {0: routes},
    )


def main(name: str, folder: str, options: str) -> None:
    """options: of `backbones.load`, as JSON."""
    from backbones import load

    child.end_with_the_parent()
    backbone = load(name, device="cpu", precision="fp32", **json.loads(options))
    export(backbone, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
