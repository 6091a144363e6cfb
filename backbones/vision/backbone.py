"""The torch engine for images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from backbones.arrays import IntArray
from backbones.description import Description
from backbones.inputs import Input, Preprocessed
from backbones.passes.backbone import TorchBackbone
from backbones.vision.augmentation import rough, view
from backbones.vision.encoder import VisionEncoder
from backbones.vision.pixels import PixelTransform


@dataclass(frozen=True, eq=False)
class PixelInput:
    """A batch of images. pixels: (B, 3, h, w), normalised;  mask: (B, S), all 1"""

    pixels: Tensor
    mask: Tensor

    def inputs(self) -> Mapping[str, Tensor]:
        """What the model is given."""
        return {"pixels": self.pixels}


@dataclass(frozen=True)
class Normalisation:
    """What is subtracted from and divides the share of red, green and blue, 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """From bytes (B, 3, h, w) on a device to what a model there sees."""
        mean, std = (
            torch.tensor(values, device=device).view(-1, 1, 1) for values in (self.mean, self.std)
        )
        return lambda pixels: pixels.float().div_(255).sub_(mean).div_(std)


class TorchVisionBackbone(TorchBackbone[VisionEncoder]):
    """A vision transformer behind the protocol `TrainableBackbone`.

    Features are the model's own pooling of its last states, of length 1. Pixels travel as bytes;
    they are normalised on the device.
    """

    def __init__(
        self,
        description: Description,
        transform: PixelTransform,
        normalisation: Normalisation,
        encoder: VisionEncoder,
        device: torch.device,
        *,
        half: bool,
    ) -> None:
        """half: differentiable passes compute in bf16."""
        super().__init__(description, encoder, device, half=half)
        self.transform: Final = transform
        self.normalisation: Final = normalisation
        self._normalised: Final = normalisation.on(device)

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Decoded, resized and cropped as the model's configuration says. Raises InvalidInput."""
        return self.transform(inputs)

    def augmented(self, batch: Preprocessed, seed: int) -> Preprocessed:
        """A view of every image, mirrored and moved at random."""
        draw = np.random.default_rng(seed)
        pixels = tuple(view(one, draw) for one in batch.fields["pixels"])
        return Preprocessed({"pixels": pixels}, batch.lengths)

    def rough(self, batch: Preprocessed, seed: int) -> Preprocessed:
        """Every image as a poorer camera might give it."""
        draw = np.random.default_rng(seed)
        pixels = tuple(rough(one, draw) for one in batch.fields["pixels"])
        return Preprocessed({"pixels": pixels}, batch.lengths)

    def _collated(self, batch: Preprocessed, part: IntArray) -> PixelInput:
        stacked = np.stack([batch.fields["pixels"][index] for index in part])
        pixels = self._normalised(torch.from_numpy(stacked).to(self.device))
        mask = torch.ones(len(part), self.transform.tokens, dtype=torch.long, device=self.device)
        return PixelInput(pixels, mask)
