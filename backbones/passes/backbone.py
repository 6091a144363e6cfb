"""The torch engine: encodes, and trains prefixes, whatever its encoder sees."""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Generic, Literal, Self, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import Bank
from backbones.bank_cache import BankCache
from backbones.description import Description
from backbones.errors import ShapeMismatch, UnsupportedModel
from backbones.inputs import Input, Preprocessed
from backbones.layer_states import LayerStates
from backbones.lower import LowerStates
from backbones.micro_batches import GPU_COST, PassCost, micro_batches
from backbones.passes.choice import RowChoice
from backbones.passes.context import LayerContext, LayerPooling, Observation, PassContext
from backbones.passes.device_bank import DeviceBank, layer_contexts
from backbones.passes.encoder import Collated, Encoder
from backbones.passes.queries import concat, sample_positions, sampled_queries
from backbones.prefix import Prefix
from backbones.queries import Queries
from backbones.rows import check_choice, check_indices
from backbones.tensors import TensorPrefix

Storage: TypeAlias = Literal["fp32", "fp16", "bf16"]
E = TypeVar("E", bound=Encoder)

_STORAGE: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
CPU_COST: Final = PassCost(budget=4096, overhead=40)
"""Measured with MiniLM: an empty pass would take as long as 40 tokens (docs/performance.md)."""


class TorchBackbone(ABC, Generic[E]):
    """An encoder behind the protocol `TrainableBackbone`. Safe to call from many threads.

    A modality adds how inputs are read and put together to a batch.
    """

    runtime: Final = "torch"

    def __init__(
        self, description: Description, encoder: E, device: torch.device, *, half: bool
    ) -> None:
        """half: differentiable passes compute in bf16. Encoding computes in fp32; see `in_bf16`."""
        self.description: Final = description
        self.device: Final = device
        self.half: Final = half
        self.encoder: Final = encoder
        self._encoding = encoder
        self._banks = BankCache(lambda bank: DeviceBank.of(bank, device))
        self._cost: Final = CPU_COST if device.type == "cpu" else GPU_COST
        self._trainers: Final[dict[int, E]] = {}
        self._trainers_lock: Final = threading.Lock()

    def in_bf16(self) -> Self:
        """The same, but `encode` and `encode_layers` compute the layers in bf16.

        Features then differ by about 1e-2; they, and what routers read, are fp32 as before.
        """
        other = copy.copy(self)
        other._encoding = self.encoder.half(0)
        other._banks = BankCache(lambda bank: DeviceBank.of(bank, self.device, torch.bfloat16))
        return other

    @abstractmethod
    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Raises InvalidInput."""

    @abstractmethod
    def _collated(self, batch: Preprocessed, part: IntArray) -> Collated:
        """The examples `part` of `batch`, padded, on the device."""

    def passes(self, lengths: IntArray) -> list[IntArray]:
        """Positions of the examples of each pass, cheapest together; see `Backbone`."""
        return micro_batches(lengths, self._cost)

    def encode(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> FloatArray:
        """Features (B, D) in the order of `batch`; see `backbones.protocol.Backbone`."""
        return np.ascontiguousarray(self.encode_layers(batch, bank, rows).features)

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        """Pooled states (B, L + 1, D) and rows (B,) in the order of `batch`; see `Backbone`."""
        used = check_choice(bank, rows, len(batch), self.description)
        prefixes = None if bank is None else self._banks.get(bank)

        def all_layers(part: IntArray) -> Tensor:
            states, used[part] = self._seen(batch, part, prefixes, used[part])
            return states

        depth = self.description.layers + 1
        return LayerStates(self._in_passes(batch.lengths, all_layers, depth), used)

    def lower(self, batch: Preprocessed, storage: Storage = "fp32") -> LowerStates:
        """The hidden states that enter the first prompted layer, stored as `storage`.

        They carry the pooled unprompted states (B, first_prompted + 1, D), fp32, of the same pass.
        """
        parts = self.passes(batch.lengths)
        if not parts:
            width, depth = self.description.width, self.description.first_prompted + 1
            empty = torch.zeros(0, width, dtype=_STORAGE[storage], device=self.device)
            return LowerStates(empty, batch.lengths, np.zeros((0, depth, width), np.float32))
        with torch.no_grad():  # inference tensors could not be saved for a backward pass
            found = [self._stopped(batch, part, _STORAGE[storage]) for part in parts]
        return LowerStates.concat(found).select(np.argsort(np.concatenate(parts)))

    def encode_lower(self, lower: LowerStates, prefix: Prefix) -> FloatArray:
        """Features (B, D), fp32, of all cached examples under one prefix, without gradient."""
        return np.ascontiguousarray(self.encode_lower_layers(lower, prefix)[:, -1])

    def encode_lower_layers(
        self, lower: LowerStates, prefix: Prefix, half: bool = False
    ) -> FloatArray:
        """Pooled outputs (B, L', D), fp32, of every prompted layer under one prefix, no gradient.

        half: compute in bf16 where training does; features then differ by about 1e-3
        """
        prefix.check(self.description)
        fixed = TensorPrefix.of(prefix, self.device)
        first, layers = self.description.first_prompted, self.description.layers
        dtype = torch.bfloat16 if half and self.half else torch.float32
        # Made out here: weights copied in inference mode could not take part in training.
        encoder = self._trainer(first) if half else self.encoder

        def resumed(part: IntArray) -> Tensor:
            states, mask = self._on_device(lower, part, dtype)
            pooling = LayerPooling.over(encoder.content(mask), range(first + 1, layers))
            contexts = self._layers(fixed, dtype) if prefix.length else {}
            context = PassContext(contexts, start=first, pooling=pooling)
            last = encoder.feature(encoder.resumed(states, mask, context), mask)
            return torch.stack([*pooling.states, last], dim=1)

        return self._in_passes(lower.lengths, resumed, layers - first)

    def features(
        self,
        lower: LowerStates,
        rows: Rows,
        prefix: TensorPrefix,
    ) -> Tensor:
        """Features (len(rows), D), fp32, differentiable in `prefix`.

        lower: may stay on the CPU while the model is on another device. Raises ShapeMismatch.
        """
        first = self.description.first_prompted
        dtype = torch.bfloat16 if self.half else torch.float32
        states, mask = self._on_device(lower, check_indices(rows, len(lower)), dtype)
        context = PassContext(self._layers(prefix, dtype), start=first)
        encoder = self._trainer(first)
        return encoder.feature(encoder.resumed(states, mask, context), mask)

    def queries(
        self, lower: LowerStates, prefix: Prefix, per_example: int, seed: int
    ) -> list[Queries]:
        """Up to `per_example` queries of each example's tokens, for each prompted layer.

        The tokens are drawn without replacement and are the same in all layers.
        """
        prefix.check(self.description)
        fixed = TensorPrefix.of(prefix, self.device)
        positions = sample_positions(lower.lengths, per_example, seed)
        parts = self.passes(lower.lengths)
        with torch.inference_mode():
            sampled = [
                [sampled_queries(seen, [positions[i] for i in part]) for seen in watched]
                for part in parts
                for watched in [self._watched(lower, part, fixed)]
            ]
        return [concat(layer) for layer in zip(*sampled, strict=True)]

    def augmented(self, batch: Preprocessed, seed: int) -> Preprocessed | None:
        """Every example changed at random in a way that leaves its class; None: no such way."""
        return None

    def rough(self, batch: Preprocessed, seed: int) -> Preprocessed | None:
        """Every example in a random worse quality, for routers; None: quality means nothing."""
        return None

    def _in_passes(
        self, lengths: IntArray, run: Callable[[IntArray], Tensor], depth: int | None = None
    ) -> FloatArray:
        """(B, D), or (B, depth, D), put together from the passes `run` makes of some examples."""
        shape = (self.description.width,) if depth is None else (depth, self.description.width)
        found = np.empty((len(lengths), *shape), np.float32)
        with torch.inference_mode():
            for part in self.passes(lengths):
                found[part] = run(part).cpu().numpy()
        return found

    def _seen(
        self, batch: Preprocessed, part: IntArray, bank: DeviceBank | None, rows: IntArray
    ) -> tuple[Tensor, IntArray]:
        """Pooled states (B, L + 1, D) of one pass, and the rows it went through."""
        padded = self._collated(batch, part)
        pooling = LayerPooling.over(
            self.encoder.content(padded.mask), range(self.description.layers)
        )
        if bank is None:
            context, choice = PassContext(pooling=pooling), None
        else:
            choice = RowChoice(bank, rows, self.description.first_prompted)
            context = choice.context(pooling)
        last = self._encoding.feature(self._hidden(padded, context), padded.mask)
        states = torch.stack([*pooling.states, last], dim=1)
        return states, rows if choice is None else choice.rows

    def _hidden(self, padded: Collated, context: PassContext) -> Tensor:
        """Last hidden states (B, S, D). In bf16, what enters the first layer is made in fp32."""
        if self._encoding is self.encoder:
            return self.encoder.hidden(padded.inputs(), padded.mask, context)
        states = self._entering(padded, PassContext(stop=0))
        return self._encoding.resumed(states.bfloat16(), padded.mask, context)

    def _stopped(self, batch: Preprocessed, part: IntArray, storage: torch.dtype) -> LowerStates:
        padded = self._collated(batch, part)
        first = self.description.first_prompted
        pooling = LayerPooling.over(self.encoder.content(padded.mask), range(first + 1))
        states = self._entering(padded, PassContext(stop=first, pooling=pooling))
        seen = torch.stack(pooling.states, dim=1).cpu().numpy()
        return LowerStates(states[padded.mask.bool()].to(storage), batch.lengths[part], seen)

    def _entering(self, padded: Collated, context: PassContext) -> Tensor:
        """What enters the layer at which the plan stops (B, S, D), fp32."""
        self.encoder.hidden(padded.inputs(), padded.mask, context)
        if context.stopped is None:
            raise UnsupportedModel(
                f"backbone {self.description.name!r}: its layers do not get the context of a pass"
            )
        return context.stopped

    def _on_device(
        self, lower: LowerStates, part: IntArray, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        states, mask = lower.padded(part)
        return states.to(self.device, dtype), mask.to(self.device)

    def _watched(
        self, lower: LowerStates, part: IntArray, prefix: TensorPrefix
    ) -> list[Observation]:
        states, mask = lower.padded(part)
        first = self.description.first_prompted
        layers = self._layers(prefix, torch.float32)
        for layer in layers.values():
            layer.watch = True
        self.encoder.resumed(states.float(), mask, PassContext(layers, start=first))
        return [layer.seen for layer in layers.values() if layer.seen is not None]

    def _layers(self, prefix: TensorPrefix, dtype: torch.dtype) -> dict[int, LayerContext]:
        expected = self.description.prefix_shape(prefix.keys_values.shape[3])
        if tuple(prefix.keys_values.shape) != expected:
            raise ShapeMismatch(
                f"prefix {tuple(prefix.keys_values.shape)} does not fit "
                f"{self.description.name}, which needs {expected}"
            )
        keys_values = prefix.keys_values.to(self.device, dtype)
        bias = prefix.bias.to(self.device, dtype)
        return layer_contexts(
            keys_values.unsqueeze(0), bias.unsqueeze(0), self.description.first_prompted
        )

    def _trainer(self, start: int) -> E:
        if not self.half:
            return self.encoder
        with self._trainers_lock:
            if start not in self._trainers:
                self._trainers[start] = self.encoder.half(start)
            return self._trainers[start]
