"""The ONNX Runtime engine: sees under prefixes like the torch engine, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import Bank
from backbones.bank_cache import BankCache
from backbones.errors import UnsupportedModel
from backbones.inputs import Input, Preprocessed
from backbones.layer_states import LayerStates
from backbones.micro_batches import GPU_COST, PassCost, micro_batches
from backbones.onnx.exported import GRAPH, Exported
from backbones.onnx.feed import BankFeed
from backbones.onnx.int8 import quantised
from backbones.onnx.session import Device, Session
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

    def __init__(
        self,
        exported: Exported,
        graph: Path,
        *,
        threads: int | None = None,
        device: Device = "cpu",
    ) -> None:
        """Run `graph`, that of an export or one made from it.

        threads: of one pass, None for ONNX Runtime's choice;  device: see `Session`
        Raises UnsupportedModel where the file is damaged.
        """
        self.description: Final = exported.description
        self._exported: Final = exported
        self._graph: Final = graph
        self._threads: Final = threads
        with _readable(graph.parent, self.description.name):
            self._session: Final = Session(graph, threads, device)
        on_a_cpu = PACKED_COST if exported.reader.packs else PASS_COST
        self._cost: Final = on_a_cpu if self._session.device == "cpu" else GPU_COST
        kept = self._session.kept
        self._feeds: Final = BankCache(lambda bank: BankFeed(bank, self.description, kept))
        self._nothing: Final = Bank.stack([Prefix.empty(self.description)])

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        *,
        threads: int | None = None,
        max_pixels: int | None = None,
        device: Device = "cpu",
    ) -> OnnxBackbone:
        """Load what `export` wrote into `folder`.

        name: what the backbone is called;  threads: of one pass, None for ONNX Runtime's choice
        max_pixels: of an image before it is resized, None for `MAX_PIXELS`
        device: see `Session`
        Raises UnsupportedModel where the files are damaged.
        """
        with _readable(folder, name):
            exported = Exported.load(folder, max_pixels)
        description = replace(exported.description, name=name)
        exported = replace(exported, description=description)
        return cls(exported, folder / GRAPH, threads=threads, device=device)

    @property
    def device(self) -> str:
        """Where it computes: "cpu" or "cuda"."""
        return self._session.device

    def quantised(self) -> OnnxBackbone:
        """The same in int8 on the CPU, with the same reader. Its numbers and fingerprint differ.

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
        return self._session.run(fed, large=int(batch.lengths[part].max()) > self._cost.budget)


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime's own errors have no common class
        raise UnsupportedModel(
            f"the export of {name!r} in {folder} cannot be read ({error}); remove that folder, "
            "and it is made anew"
        ) from error
