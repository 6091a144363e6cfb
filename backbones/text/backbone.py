"""The torch engine for text: encodes, and trains prefixes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import Bank, TokenBank
from backbones.description import Description
from backbones.errors import ShapeMismatch, UnsupportedModel
from backbones.inputs import Input, Preprocessed
from backbones.layer_states import LayerStates
from backbones.lower import LowerStates
from backbones.micro_batches import micro_batches
from backbones.prefix import Prefix
from backbones.queries import Queries
from backbones.rows import check_indices, check_rows
from backbones.tensors import TensorPrefix
from backbones.text.choice import RowChoice
from backbones.text.context import LayerContext, LayerPooling, Observation, PassContext
from backbones.text.device_bank import DeviceBank, DeviceBanks, layer_contexts
from backbones.text.encoder import Encoder, pooled
from backbones.text.queries import concat, sample_positions, sampled_queries
from backbones.text.token_input import TokenInput, gathered, tokens_in_front
from backbones.text.tokens import TextTokens

Storage: TypeAlias = Literal["fp32", "fp16", "bf16"]

_STORAGE: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CPU_BUDGET: Final = 4096  # padded tokens of one pass
_GPU_BUDGET: Final = 65536


class TorchTextBackbone:
    """A Hugging Face encoder behind the protocol `TokenBackbone`. Safe to call from many threads.

    Features are the last layer's mean over a text's tokens, special ones included, of length 1.
    """

    def __init__(
        self,
        description: Description,
        tokens: TextTokens,
        encoder: Encoder,
        device: torch.device,
        *,
        half: bool,
    ) -> None:
        """half: differentiable passes compute in bf16. Encoding always computes in fp32."""
        self.description: Final = description
        self.device: Final = device
        self.half: Final = half
        self._tokens: Final = tokens
        self._encoder: Final = encoder
        self._banks: Final = DeviceBanks(device)
        self._budget: Final = _CPU_BUDGET if device.type == "cpu" else _GPU_BUDGET
        self._trainers: Final[dict[int, Encoder]] = {}
        self._trainers_lock: Final = threading.Lock()

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Token ids, cut at `max_length`; a pair is one sequence. Raises InvalidInput."""
        return self._tokens(inputs)

    def encode(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> FloatArray:
        """Features (B, D) in the order of `batch`; see `backbones.protocol.Backbone`."""
        return np.ascontiguousarray(self.encode_layers(batch, bank, rows).features)

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        """Pooled states (B, L + 1, D) and rows (B,) in the order of `batch`; see `Backbone`."""
        if bank is None:
            if rows is not None:
                raise ShapeMismatch("rows choose from a bank, and none was given")
            used, prefixes = np.zeros(len(batch), np.int64), None
        else:
            bank.check(self.description)
            used = check_rows(rows, len(batch), len(bank), len(bank.routers))
            prefixes = self._banks.get(bank)

        def all_layers(part: IntArray) -> Tensor:
            states, used[part] = self._seen(batch, part, prefixes, used[part])
            return states

        depth = self.description.layers + 1
        return LayerStates(self._in_passes(batch.lengths, all_layers, depth), used)

    def encode_tokens(
        self, batch: Preprocessed, bank: TokenBank, rows: Rows | None = None
    ) -> FloatArray:
        """As `encode`, with prompts in the form of input tokens."""
        bank.check(self.description)
        chosen = check_rows(rows, len(batch), len(bank))

        def under_tokens(part: IntArray) -> Tensor:
            if not bank.lengths[chosen[part]].any():
                return self._plain(batch, part)
            tokens, mask = gathered(bank, chosen[part], self.device)
            text = self._collated(batch, part)
            return tokens_in_front(self._encoder, text, tokens, mask, self.description.layers)

        return self._in_passes(batch.lengths, under_tokens)

    def embedded_apart(self, batch: Preprocessed) -> FloatArray:
        """The plain features by the way input tokens take, with none of them (a self-check)."""

        def apart(part: IntArray) -> Tensor:
            text = self._collated(batch, part)
            none = torch.zeros(len(part), 0, self.description.width, device=self.device)
            mask = text.mask[:, :0]
            return tokens_in_front(self._encoder, text, none, mask, self.description.layers)

        return self._in_passes(batch.lengths, apart)

    def lower(self, batch: Preprocessed, storage: Storage = "fp32") -> LowerStates:
        """The hidden states that enter the first prompted layer, stored as `storage`.

        They carry the pooled unprompted states (B, first_prompted + 1, D), fp32, of the same pass.
        """
        parts = micro_batches(batch.lengths, self._budget)
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
        encoder = self._trainer(first) if half else self._encoder

        def resumed(part: IntArray) -> Tensor:
            states, mask = self._on_device(lower, part, dtype)
            pooling = LayerPooling(mask, range(first + 1, layers))
            contexts = self._layers(fixed, dtype) if prefix.length else {}
            context = PassContext(contexts, start=first, pooling=pooling)
            last = pooled(encoder.resumed(states, mask, context), mask)
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
        return pooled(self._trainer(first).resumed(states, mask, context), mask)

    def token_features(self, batch: Preprocessed, rows: Rows, tokens: Tensor) -> Tensor:
        """Features (len(rows), D), fp32, under tokens (P, D), differentiable in `tokens`."""
        if tokens.ndim != 2 or tokens.shape[1] != self.description.width:
            raise ShapeMismatch(
                f"tokens must be (P, {self.description.width}), not {tuple(tokens.shape)}"
            )
        text = self._collated(batch, check_indices(rows, len(batch)))
        dtype = torch.bfloat16 if self.half else torch.float32
        front = tokens.to(self.device, dtype).expand(len(text.ids), -1, -1)
        mask = text.mask.new_ones(front.shape[:2])
        return tokens_in_front(self._trainer(0), text, front, mask, self.description.layers)

    def queries(
        self, lower: LowerStates, prefix: Prefix, per_example: int, seed: int
    ) -> list[Queries]:
        """Up to `per_example` queries of each example's tokens, for each prompted layer.

        The tokens are drawn without replacement and are the same in all layers.
        """
        prefix.check(self.description)
        fixed = TensorPrefix.of(prefix, self.device)
        positions = sample_positions(lower.lengths, per_example, seed)
        parts = micro_batches(lower.lengths, self._budget)
        with torch.inference_mode():
            sampled = [
                [sampled_queries(seen, [positions[i] for i in part]) for seen in watched]
                for part in parts
                for watched in [self._watched(lower, part, fixed)]
            ]
        return [concat(layer) for layer in zip(*sampled, strict=True)]

    def _in_passes(
        self, lengths: IntArray, run: Callable[[IntArray], Tensor], depth: int | None = None
    ) -> FloatArray:
        """(B, D), or (B, depth, D), put together from the passes `run` makes of some examples."""
        shape = (self.description.width,) if depth is None else (depth, self.description.width)
        found = np.empty((len(lengths), *shape), np.float32)
        with torch.inference_mode():
            for part in micro_batches(lengths, self._budget):
                found[part] = run(part).cpu().numpy()
        return found

    def _plain(self, batch: Preprocessed, part: IntArray) -> Tensor:
        text = self._collated(batch, part)
        return pooled(self._encoder.hidden(text.inputs(), text.mask), text.mask)

    def _seen(
        self, batch: Preprocessed, part: IntArray, bank: DeviceBank | None, rows: IntArray
    ) -> tuple[Tensor, IntArray]:
        """Pooled states (B, L + 1, D) of one pass, and the rows it went through."""
        text = self._collated(batch, part)
        pooling = LayerPooling(text.mask, range(self.description.layers))
        if bank is None:
            context, choice = PassContext(pooling=pooling), None
        else:
            choice = RowChoice(bank, rows, self.description.first_prompted)
            context = choice.context(pooling)
        last = pooled(self._encoder.hidden(text.inputs(), text.mask, context), text.mask)
        states = torch.stack([*pooling.states, last], dim=1)
        return states, rows if choice is None else choice.rows

    def _stopped(self, batch: Preprocessed, part: IntArray, storage: torch.dtype) -> LowerStates:
        text = self._collated(batch, part)
        first = self.description.first_prompted
        context = PassContext(stop=first, pooling=LayerPooling(text.mask, range(first + 1)))
        self._encoder.hidden(text.inputs(), text.mask, context)
        if context.stopped is None or context.pooling is None:
            raise UnsupportedModel(
                f"backbone {self.description.name!r}: its layers do not get the context of a pass"
            )
        seen = torch.stack(context.pooling.states, dim=1).cpu().numpy()
        states = context.stopped[text.mask.bool()].to(storage)
        return LowerStates(states, batch.lengths[part], seen)

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
        self._encoder.resumed(states.float(), mask, PassContext(layers, start=first))
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

    def _collated(self, batch: Preprocessed, part: IntArray) -> TokenInput:
        return TokenInput.collated(batch, part, self._tokens.pad, self.device)

    def _trainer(self, start: int) -> Encoder:
        if not self.half:
            return self._encoder
        with self._trainers_lock:
            if start not in self._trainers:
                self._trainers[start] = self._encoder.half(start)
            return self._trainers[start]
