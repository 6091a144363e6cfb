"""A small real backbone: hashed words, with prefixes that are added to them. No torch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import numpy as np

from backbones import (
    Bank,
    Description,
    FloatArray,
    Input,
    IntArray,
    InvalidInput,
    LayerStates,
    Preprocessed,
)
from backbones.arrays import Rows

WIDTH = 64


class BagOfWords:
    """z = Σ_words e(hash) + Σ_p exp(bias_p) v_p, divided by its length. One layer, one head."""

    runtime = "numpy"
    device = "cpu"

    def __init__(self, fingerprint: str = "bag-of-words") -> None:
        self.description = Description(
            name="bag-of-words",
            modality="text",
            layers=1,
            heads=1,
            width=WIDTH,
            head_dim=WIDTH,
            max_length=512,
            prompted_layers=1,
            fingerprint=fingerprint,
        )

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        words = tuple(_words(one) for one in inputs)
        lengths = np.array([len(one) for one in words], np.int64)
        return Preprocessed({"words": words}, lengths)

    def passes(self, lengths: IntArray) -> list[IntArray]:
        return [np.arange(len(lengths))]

    def encode(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> FloatArray:
        return self.encode_layers(batch, bank, rows).features

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        plain = self._counted(batch)
        used = np.zeros(len(batch), np.int64) if rows is None else np.array(rows, np.int64)
        features = plain.copy()
        if bank is not None:
            for number, router in enumerate(bank.routers):
                asked = used == -1 - number
                used[asked] = router.choose(_normalised(plain)[asked, None])
            weights = np.exp(bank.bias[used, 0, 0])
            features += np.einsum("bp,bpd->bd", weights, bank.keys_values[used, 0, 1, 0])
        states = np.stack([_normalised(plain), _normalised(features)], axis=1)
        return LayerStates(states, used)

    def _counted(self, batch: Preprocessed) -> FloatArray:
        features = np.zeros((len(batch), WIDTH), np.float32)
        for place, words in enumerate(batch.fields["words"]):
            np.add.at(features[place], words, 1.0)
        return features


class HeldBagOfWords(BagOfWords):
    """The same, each pass of which can be held until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.sizes: list[int] = []
        self._free = threading.Event()
        self._free.set()

    def hold(self) -> None:
        """From now on, passes wait inside `encode`."""
        self._free.clear()

    def release(self) -> None:
        """Lets all passes go on."""
        self._free.set()

    def wait_for_pass(self) -> None:
        """Returns when a pass is inside `encode`; one call for each pass."""
        assert self.entered.acquire(timeout=30)

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        if threading.current_thread().name.startswith("encoder"):
            self.sizes.append(len(batch))
            self.entered.release()
            assert self._free.wait(timeout=60)
        return super().encode_layers(batch, bank, rows)


def _normalised(features: FloatArray) -> FloatArray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    normalised: FloatArray = features / np.maximum(norms, 1e-6)
    return normalised


def _words(one: Input) -> IntArray:
    if one.text is None:
        raise InvalidInput("a bag of words needs a text")
    words = f"{one.text} {one.text_pair or ''}".lower().split()
    if not words:
        raise InvalidInput("there is no word in this text")
    return np.array([_place(word) for word in words], np.int64)


def _place(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % WIDTH
