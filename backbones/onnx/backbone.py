"""The ONNX Runtime engine: sees under prefixes like the torch engine, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from backbones.onnx.int8 import quantised
from backbones.prefix import Prefix
from backbones.rows import check_choice

PASS_COST: Final = PassCost(budget=1024, overhead=12)
"""Measured with MiniLM on a CPU: passes of 2,000 tokens and more leave the caches and take a fifth
longer a token; an empty pass would take as long as 12 tokens (docs/performance.md)."""
PACKED_COST: Final = replace(PASS_COST, budget=512, pairs=330)
"""Where texts are packed, attention alone is padded. Passes of 250 to 1,000 tokens cost the same a
token; the smaller ones leave less memory behind."""


class OnnxBackbone:
    """An exported encoder behind the protocol `Backbone`. Safe to call from many threads."""

    runtime: Final = "onnx"

    def __init__(self, exported: Exported, graph: Path, *, threads: int | None = None) -> None:
        """Run `graph`, that of an export or one made from it.

        threads: of one pass, None for ONNX Runtime's choice
        Raises UnsupportedModel where the file is damaged.
        """
        self.description: Final = exported.description
        self._exported: Final = exported
        self._graph: Final = graph
        self._threads: Final = threads
        self._cost: Final = PACKED_COST if exported.reader.packs else PASS_COST
        with _readable(graph.parent, self.description.name):
            self._session: Final = onnxruntime.InferenceSession(
                str(graph), _session_options(threads), providers=["CPUExecutionProvider"]
            )
        self._shrinking: Final = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._feeds: Final = BankCache(lambda bank: BankFeed(bank, self.description))
        self._nothing: Final = Bank.stack([Prefix.empty(self.description)])

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        *,
        threads: int | None = None,
        max_pixels: int | None = None,
    ) -> OnnxBackbone:
        """Load what `export` wrote into `folder`.

        name: what the backbone is called;  threads: of one pass, None for ONNX Runtime's choice
        max_pixels: of an image before it is resized, None for `MAX_PIXELS`
        Raises UnsupportedModel where the files are damaged.
        """
        with _readable(folder, name):
            exported = Exported.load(folder, max_pixels)
        description = replace(exported.description, name=name)
        return cls(replace(exported, description=description), folder / GRAPH, threads=threads)

    def quantised(self) -> OnnxBackbone:
        """The same in int8, with the same reader. Its numbers are others, so is its fingerprint.

        Raises UnsupportedModel, OSError where the graph cannot be made, once, beside this one's.
        """
        folder = quantised(self._graph.parent, self.description.name)
        description = replace(self.description, fingerprint=folder.name)
        exported = replace(self._exported, description=description)
        return OnnxBackbone(exported, folder / GRAPH, threads=self._threads)

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Token ids or pixels, as the torch engine makes them. Raises InvalidInput."""
        return self._exported.reader(inputs)

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
        fed = {**self._exported.reader.fed(batch, part), "rows": rows, **feed.arrays(rows)}
        large = (
            int(batch.lengths[part].max()) > PASS_COST.budget
        )  # its memory would be kept for ever
        states, taken = self._session.run(list(OUTPUTS), fed, self._shrinking if large else None)
        return np.asarray(states), np.asarray(taken)


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime's own errors have no common class
        raise UnsupportedModel(
            f"the export of {name!r} in {folder} cannot be read ({error}); remove that folder, "
            "and it is made anew"
        ) from error


def _session_options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from the learner and from other replicas.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    return options
