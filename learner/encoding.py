"""Kept examples as the backbone sees them. What lies below the prompts is computed once.

The states that enter the first prompted layer depend on no prompt, so they are kept, up to a budget
of memory: refresh, training and trials of the same rows share them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from backbones import Description, FloatArray, Input, Prefix, Preprocessed, TrainableBackbone
from backbones.lower import LowerStates
from learner.errors import Unlearnable
from learner.examples import KeptExample
from learner.sight import Seen
from prompt_store import Corrupt, NotFound

CACHE_BYTES: Final = 256 * 2**20
ROUGH_ROWS: Final = 4096
"""Rows whose pooled states in worse quality are kept: of a ViT-B, 150 MB."""

_Key = tuple[str, str]


def no_images(digest: str) -> bytes:
    """For a place without images. Raises NotFound."""
    raise NotFound(f"there is no image {digest} here: no store of images was named")


class ExampleEncoder:
    """Encodes kept examples with one backbone. For one thread."""

    def __init__(
        self,
        backbone: TrainableBackbone,
        read_image: Callable[[str], bytes] = no_images,
        budget: int = CACHE_BYTES,
    ) -> None:
        """Encode with `backbone`.

        read_image: the content of an image by its digest, as `Blobs.get`; raises NotFound, Corrupt
        budget: bytes of lower states to keep, the least recently used go first
        """
        self.backbone: Final = backbone
        self._read_image: Final = read_image
        self._budget: Final = budget
        self._kept: OrderedDict[_Key, LowerStates] = OrderedDict()
        self._bytes = 0
        self._rough: dict[_Key, FloatArray] = {}

    @property
    def description(self) -> Description:
        """Of the backbone."""
        return self.backbone.description

    def preprocess(self, rows: Sequence[KeptExample]) -> Preprocessed:
        """Raises Unlearnable, with the example's id, where the backbone cannot read an input."""
        inputs = [self._input(row) for row in rows]
        try:
            return self.backbone.preprocess(inputs)
        except ValueError as error:
            raise self._unlearnable(rows, inputs) or Unlearnable(str(error)) from error

    def lower(self, rows: Sequence[KeptExample]) -> LowerStates:
        """The states of the rows below the prompts, from memory where they are there."""
        keys = [(row.batch, row.id) for row in rows]
        missing = [i for i, key in enumerate(keys) if key not in self._kept]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        if missing:
            fresh = self.backbone.lower(self.preprocess([rows[i] for i in missing]))
            for place, i in enumerate(missing):
                found[keys[i]] = self._keep(keys[i], fresh.select([place]))
        for key in keys:
            if key in self._kept:
                self._kept.move_to_end(key)
        return LowerStates.concat([found[key] for key in keys])

    def rough(self, rows: Sequence[KeptExample]) -> FloatArray | None:
        """(n, K, D) pooled states below the prompts, of each row in a random worse quality.

        A row's quality is always the same. None where quality means nothing, as for texts.
        """
        missing = [row for row in rows if (row.batch, row.id) not in self._rough]
        if missing:
            worse = self._worse(missing)
            if worse is None:
                return None
            pooled = self.backbone.lower(worse).pooled
            assert pooled is not None, "a backbone pools the states it computes"
            for row, states in zip(missing, pooled, strict=True):
                self._rough[row.batch, row.id] = states
        found = [self._rough[row.batch, row.id] for row in rows]
        for key in list(self._rough)[: max(0, len(self._rough) - ROUGH_ROWS)]:
            del self._rough[key]  # the oldest
        return np.stack(found) if rows else None

    def _worse(self, rows: Sequence[KeptExample]) -> Preprocessed | None:
        """Each row in a quality that its rank decides; none but the first is read for a None."""
        views = []
        for row in rows:
            seed = int.from_bytes(row.rank[:4], "big")
            view = self.backbone.rough(self.preprocess([row]), seed)
            if view is None:
                return None
            views.append(view)
        return Preprocessed.concat(views)

    def plain(self, rows: Sequence[KeptExample]) -> Seen:
        """What the frozen backbone sees: every layer of N ≥ 1 rows, and pairs apart."""
        lower = self.lower(rows)
        upper = self.backbone.encode_lower_layers(lower, Prefix.empty(self.description))
        assert lower.pooled is not None, "a backbone pools the states it computes"
        return Seen(np.concatenate([lower.pooled, upper], axis=1), self._apart(rows))

    def upper(
        self, rows: Sequence[KeptExample], prefix: Prefix, *, half: bool = False
    ) -> FloatArray:
        """(N, L', D) pooled states of the prompted layers under one prefix.

        half: in bf16 where training computes so; for what is judged, not for what serves
        """
        if not rows:
            shape = (0, self.description.prompted_layers, self.description.width)
            return np.zeros(shape, np.float32)
        return self.backbone.encode_lower_layers(self.lower(rows), prefix, half)

    def _apart(self, rows: Sequence[KeptExample]) -> FloatArray | None:
        pairs = [i for i, row in enumerate(rows) if row.text_pair is not None]
        if not pairs:
            return None
        first = [Input(text=rows[i].text) for i in pairs]
        second = [Input(text=rows[i].text_pair) for i in pairs]
        features = self.backbone.encode(self.backbone.preprocess(first + second))
        apart = np.zeros((len(rows), 2, features.shape[1]), np.float32)
        apart[pairs, 0], apart[pairs, 1] = features[: len(pairs)], features[len(pairs) :]
        return apart

    def _input(self, row: KeptExample) -> Input:
        if row.image is None:
            return Input(text=row.text, text_pair=row.text_pair)
        try:
            return Input(image=self._read_image(row.image))
        except (NotFound, Corrupt) as error:
            raise Unlearnable(f"example {row.id!r}: its image cannot be read: {error}") from error

    def _unlearnable(
        self, rows: Sequence[KeptExample], inputs: Sequence[Input]
    ) -> Unlearnable | None:
        """Why the first row that is unreadable by itself is so; None where there is no such row."""
        for row, one in zip(rows, inputs, strict=True):
            try:
                self.backbone.preprocess([one])
            except ValueError as error:
                said = str(error).removeprefix("input 0: ")
                return Unlearnable(f"example {row.id!r}: {said}")
        return None

    def _keep(self, key: _Key, states: LowerStates) -> LowerStates:
        self._kept[key] = states
        self._bytes += states.nbytes
        while self._bytes > self._budget:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
        return states
