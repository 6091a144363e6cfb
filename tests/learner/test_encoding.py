"""Encoding kept examples: the backbone's own numbers, each computed once, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backbones import Bank, Input, Preprocessed
from backbones.checks import random_prefix
from backbones.lower import LowerStates
from backbones.text.backbone import TorchTextBackbone
from backbones.vision.backbone import TorchVisionBackbone
from learner.build import build_learner
from learner.encoding import ExampleEncoder
from learner.errors import Unlearnable
from learner.examples import KeptExample
from prompt_store import Example, Store, digest_of
from tests.backbones.vision.conftest import load_vision
from tests.backbones.vision.models import encoded, picture, timm_vit
from tests.learner.conftest import batch, quick, run_dry, text


class Counting:
    """The tiny backbone, which notes how many rows go through its lower layers."""

    def __init__(self, inner: TorchTextBackbone) -> None:
        self._inner = inner
        self.lowered: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def lower(self, batch: Preprocessed) -> LowerStates:
        self.lowered.append(len(batch))
        return self._inner.lower(batch)


def rows(count: int, *, pairs: bool = False) -> list[KeptExample]:
    return [
        KeptExample(
            id=str(i),
            label="a",
            batch="b",
            held_out=False,
            text=text("refund", i),
            text_pair=text("order", i) if pairs and i % 2 else None,
        )
        for i in range(count)
    ]


def encoder_on(tiny: TorchTextBackbone, **options: Any) -> tuple[ExampleEncoder, Counting]:
    counting = Counting(tiny)
    backbone: Any = counting
    return ExampleEncoder(backbone, **options), counting


def test_plain_is_what_the_backbone_sees(tiny: TorchTextBackbone) -> None:
    kept = rows(5, pairs=True)
    inputs = [Input(text=row.text, text_pair=row.text_pair) for row in kept]
    expected = tiny.encode_layers(tiny.preprocess(inputs)).pooled
    np.testing.assert_allclose(ExampleEncoder(tiny).plain(kept).states, expected, atol=1e-5)


def test_upper_is_what_the_backbone_sees_under_a_prompt(tiny: TorchTextBackbone) -> None:
    kept, prompt = rows(4), random_prefix(tiny.description, 2, seed=1)
    inputs = tiny.preprocess([Input(text=row.text) for row in kept])
    expected = tiny.encode_layers(inputs, Bank.stack([prompt])).pooled
    upper = ExampleEncoder(tiny).upper(kept, prompt)
    layers = tiny.description.prompted_layers
    np.testing.assert_allclose(upper, expected[:, -layers:], atol=1e-5)


def test_rows_that_are_known_are_not_computed_again(tiny: TorchTextBackbone) -> None:
    encoder, counting = encoder_on(tiny)
    kept = rows(6)
    first = encoder.plain(kept[:4]).states
    again = encoder.plain(kept[:4]).states
    assert counting.lowered == [4]
    assert np.array_equal(first, again)
    grown = encoder.plain(list(reversed(kept))).states
    assert counting.lowered == [4, 2]
    np.testing.assert_allclose(grown[::-1][:4], first, atol=1e-5)


def test_the_budget_is_kept_and_the_newest_rows_stay(tiny: TorchTextBackbone) -> None:
    kept = rows(6)
    sizes = [tiny.lower(tiny.preprocess([Input(text=r.text)])).nbytes for r in kept]
    encoder, counting = encoder_on(tiny, budget=sum(sizes[3:]))
    whole = encoder.lower(kept)
    assert len(whole) == 6
    encoder.lower(kept[3:])
    assert counting.lowered == [6]
    encoder.lower(kept[:1])
    assert counting.lowered == [6, 1]
    nothing, counted = encoder_on(tiny, budget=0)
    np.testing.assert_allclose(
        nothing.plain(kept).states, ExampleEncoder(tiny).plain(kept).states, atol=1e-5
    )
    nothing.plain(kept)
    assert counted.lowered == [6, 6]


def test_pairs_apart_are_their_two_texts_alone(tiny: TorchTextBackbone) -> None:
    kept = rows(4, pairs=True)
    apart = ExampleEncoder(tiny).plain(kept).apart
    assert apart is not None
    assert not apart[[0, 2]].any()
    for i in (1, 3):
        for side, said in enumerate((kept[i].text, kept[i].text_pair)):
            alone = tiny.encode(tiny.preprocess([Input(text=said)]))[0]
            np.testing.assert_allclose(apart[i, side], alone, atol=1e-5)
    assert ExampleEncoder(tiny).plain(rows(2)).apart is None


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> TorchVisionBackbone:
    return load_vision(timm_vit(tmp_path_factory.mktemp("vit")), prompted_layers=2)


PICTURES = [encoded(picture(i)) for i in range(4)]


def kept_images(store: Store) -> list[KeptExample]:
    return [
        KeptExample(f"e{i}", "a", "b", held_out=False, image=store.blobs.put(data))
        for i, data in enumerate(PICTURES)
    ]


def test_images_are_read_from_the_store_once(vit: TorchVisionBackbone, store: Store) -> None:
    kept, asked = kept_images(store), list[str]()

    def read(digest: str) -> bytes:
        asked.append(digest)
        return store.blobs.get(digest)

    encoder = ExampleEncoder(vit, read)
    expected = vit.encode_layers(vit.preprocess([Input(image=data) for data in PICTURES])).pooled
    np.testing.assert_allclose(encoder.plain(kept).states, expected, atol=1e-5)
    encoder.upper(kept, random_prefix(vit.description, 2, seed=1))
    assert asked == [row.image for row in kept]


def damaged(store: Store, row: KeptExample) -> KeptExample:
    assert row.image is not None
    store.backend.delete(f"blobs/{row.image}")
    store.backend.create(f"blobs/{row.image}", b"other")
    return row


BROKEN: dict[str, tuple[Callable[[Store, KeptExample], KeptExample], str]] = {
    "absent": (lambda store, row: replace(row, image=digest_of(b"never put")), "cannot be read"),
    "damaged": (damaged, "other content"),
    "cut": (lambda store, row: replace(row, image=store.blobs.put(PICTURES[2][:80])), "truncated"),
    "no image": (lambda store, row: replace(row, image=store.blobs.put(b"GIF89a")), "the bytes"),
    "a text": (lambda store, row: replace(row, image=None, text="red"), "needs an image"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_unreadable_image_is_named(vit: TorchVisionBackbone, store: Store, kind: str) -> None:
    kept, (spoil, said) = kept_images(store), BROKEN[kind]
    kept[2] = spoil(store, kept[2])
    with pytest.raises(Unlearnable, match=f"example 'e2': .*{said}"):
        ExampleEncoder(vit, store.blobs.get).plain(kept)


def test_without_a_store_an_image_cannot_be_read(vit: TorchVisionBackbone, store: Store) -> None:
    with pytest.raises(Unlearnable, match="no store of images"):
        ExampleEncoder(vit).plain(kept_images(store))


def test_a_learner_reads_its_own_store(vit: TorchVisionBackbone, store: Store) -> None:
    """A batch of images is learnt; one whose image is gone fails and says which."""
    words = batch("photos", ["red", "blue"], rows=4)
    digests = [store.blobs.put(encoded(picture(i))) for i in range(len(words.examples))]
    images = tuple(
        Example(id=one.id, label=one.label, image=digest)
        for one, digest in zip(words.examples, digests, strict=True)
    )
    good = words.model_copy(update={"examples": images})
    lost = batch("lost", ["red"], rows=1)
    gone = Example(id="gone", label="red", image=digest_of(b"never put"))
    store.intake.accept(good)
    store.intake.accept(lost.model_copy(update={"examples": (gone,)}))
    learner = build_learner(store, vit, quick())
    learner.start()
    run_dry(learner)
    outcomes = [store.intake.outcome(one.id) for one in (good, lost)]
    assert [one and one.status for one in outcomes] == ["published", "failed"]
    assert outcomes[1] is not None
    assert "'gone'" in (outcomes[1].error or "")
    live = store.manifest(store.timeline().live or 0)
    assert set(live.labels) == {"photos/red", "photos/blue"}
