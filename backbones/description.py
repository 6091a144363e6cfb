"""What a backbone says about itself."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Modality: TypeAlias = Literal["text", "vision"]


@dataclass(frozen=True)
class Description:
    """The fixed facts of one loaded backbone.

    `fingerprint` names the function input → feature (weights, tokenizer, pooling, max_length); it
    does not depend on `prompted_layers`, which only says how many upper layers a prefix reaches.
    """

    name: str
    modality: Modality
    layers: int
    heads: int
    width: int
    head_dim: int
    max_length: int
    prompted_layers: int
    fingerprint: str

    @property
    def first_prompted(self) -> int:
        """Index of the first layer that sees a prefix; the layers below never do."""
        return self.layers - self.prompted_layers

    @property
    def attention_width(self) -> int:
        """H · Dh, the keys of one token in one layer; not the width in every model."""
        return self.heads * self.head_dim

    def prefix_shape(self, length: int) -> tuple[int, int, int, int, int]:
        """(L', 2, H, P, Dh) of a prefix of `length` rows."""
        return (self.prompted_layers, 2, self.heads, length, self.head_dim)
