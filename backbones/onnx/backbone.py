"""The ONNX Runtime engine: sees under prefixes like the torch engine, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import Bank
from backbones.bank_cache import BankCache
from backbones.errors import UnsupportedModel
from backbones.inputs import Input, Preprocessed
from backbones.layer_states import LayerStates
from backbones.micro_batches import PassCost, micro_batches
from backbones.onnx.exported import GRAPH, OUTPUTS, Exported
from backbones.onnx.feed import BankFeed
from backbones.prefix import Prefix
from backbones.rows import check_choice

PASS_COST: Final = PassCost(budget=1024, overhead=12)
"""Measured with MiniLM on a CPU: passes of 2,000 tokens and more leave the caches and take a fifth
longer a token; an empty pass would take as long as 12 tokens (docs/performance.md)."""


class OnnxBackbone:
    """An exported encoder behind the protocol `Backbone`. Safe to call from many threads."""

    runtime: Final = "onnx"

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        threads: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        """Load what `export` wrote into `folder`.

        name: what the backbone is called;  threads: of one pass, None for ONNX Runtime's choice
        max_pixels: of an image before it is resized, None for `MAX_PIXELS`
        Raises UnsupportedModel where the files are damaged.
        """
        try:
            exported = Exported.load(folder, max_pixels)
            session = onnxruntime.InferenceSession(
                str(folder / GRAPH), _session_options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own errors have no common class
            raise UnsupportedModel(
                f"the export of {name!r} in {folder} cannot be read ({error}); remove that folder, "
                "and it is exported anew"
            ) from error
        self.description: Final = replace(exported.description, name=name)
        self._reader: Final = exported.reader
        self._session: Final = session
        self._shrinking: Final = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._feeds: Final = BankCache(lambda bank: BankFeed(bank, self.description))
        self._nothing: Final = Bank.stack([Prefix.empty(self.description)])

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Token ids or pixels, as the torch engine makes them. Raises InvalidInput."""
        return self._reader(inputs)

    def passes(self, lengths: IntArray) -> list[IntArray]:
        """Positions of the examples of each pass, cheapest together; see `Backbone`."""
        return micro_batches(lengths, PASS_COST)

    def encode(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> FloatArray:
        """Features (B, D) in the order of `batch`; see `backbones.protocol.Backbone`."""
        return np.ascontiguousarray(self.encode_layers(batch, bank, rows).features)

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        """Pooled states (B, L + 1, D) and rows (B,) in the order of `batch`; see `Backbone`."""
        about = self.description
        asked = check_choice(bank, rows, len(batch), about)
        feed = self._feeds.get(self._nothing if bank is None else bank)
        states = np.empty((len(batch), about.layers + 1, about.width), np.float32)
        taken = asked.copy()
        for part in self.passes(batch.lengths):
            states[part], taken[part] = self._pass(batch, part, feed, asked[part])
        return LayerStates(states, taken)

    def _pass(
        self, batch: Preprocessed, part: IntArray, feed: BankFeed, rows: IntArray
    ) -> tuple[FloatArray, IntArray]:
        fed = {**self._reader.fed(batch, part), "rows": rows, **feed.arrays(rows)}
        large = (
            int(batch.lengths[part].max()) > PASS_COST.budget
        )  # its memory would be kept for ever
        states, taken = self._session.run(list(OUTPUTS), fed, self._shrinking if large else None)
        return np.asarray(states), np.asarray(taken)


def _session_options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from the learner and from other replicas.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    return options
