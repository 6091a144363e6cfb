"""The files of one exported backbone: its graph, its description and what reads its inputs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from backbones.description import Description
from backbones.images import MAX_PIXELS
from backbones.onnx.readers import ImageReader, Reader, TextReader
from backbones.vision.pixels import PixelTransform

GRAPH: Final = "model.onnx"
INPUTS: Final = ("keys_values", "bias", "rows", "weights", "router_bias", "targets", "owners")
"""Fed besides what the reader gives; see `backbones.onnx.graph.PassGraph`."""
OUTPUTS: Final = ("states", "taken")
_ABOUT: Final = "backbone.json"


@dataclass(frozen=True)
class Exported:
    """What stands beside the graph."""

    description: Description
    reader: Reader

    def save(self, folder: Path) -> None:
        """Beside the graph in `folder`."""
        content = {"description": asdict(self.description), "reader": self.reader.save(folder)}
        (folder / _ABOUT).write_text(json.dumps(content, indent=1))

    @staticmethod
    def load(folder: Path, max_pixels: int | None = None) -> Exported:
        """What `save` wrote. max_pixels: of an image before it is resized, None: `MAX_PIXELS`."""
        content = json.loads((folder / _ABOUT).read_text())
        description = Description(**content["description"])
        return Exported(description, _reader(description, folder, content["reader"], max_pixels))


def _reader(
    about: Description, folder: Path, saved: dict[str, Any], max_pixels: int | None
) -> Reader:
    if about.modality == "vision":
        return ImageReader(PixelTransform(**saved, max_pixels=max_pixels or MAX_PIXELS))
    return TextReader.load(folder, saved)
