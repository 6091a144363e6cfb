"""Images are trained on in several views, and routers see them in worse quality too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from backbones import Input
from backbones.text.backbone import TorchTextBackbone
from backbones.vision.augmentation import rough, view
from backbones.vision.backbone import TorchVisionBackbone
from learner.build import build_method
from learner.config import LearnerConfig
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample
from learner.methods.base import Lesson
from learner.methods.config import AutoConfig, PromptConfig
from learner.prompted import KeysValuesInputs, prompted_inputs
from tests.backbones.vision.conftest import load_vision
from tests.backbones.vision.models import encoded, picture, timm_vit


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> TorchVisionBackbone:
    return load_vision(timm_vit(tmp_path_factory.mktemp("vit")))


def lesson(backbone: TorchVisionBackbone, count: int = 8) -> Lesson:
    inputs = backbone.preprocess([Input(image=encoded(picture(seed))) for seed in range(count)])
    return Lesson("shapes", inputs, np.arange(count) % 2, 2, seed=3)


def test_a_view_is_drawn_for_each_input(vit: TorchVisionBackbone) -> None:
    inputs = prompted_inputs(lesson(vit), "keys_values", vit, views=3)
    assert isinstance(inputs, KeysValuesInputs)
    views = inputs.seen_as
    assert views is not None
    assert len(views.lower) == 32
    drawn = np.stack([views.drawn(np.arange(8)) for _ in range(50)])
    np.testing.assert_array_equal(drawn % 8, np.tile(np.arange(8), (50, 1)))
    assert set((drawn // 8).ravel().tolist()) == {0, 1, 2, 3}
    again = prompted_inputs(lesson(vit), "keys_values", vit, views=3)
    assert isinstance(again, KeysValuesInputs)
    assert again.seen_as is not None
    assert (again.seen_as.lower.states == views.lower.states).all()


def test_texts_have_no_views(tiny: TorchTextBackbone) -> None:
    inputs = tiny.preprocess([Input("red green"), Input("blue")])
    two = Lesson("colours", inputs, np.array([0, 1]), 2)
    prompted = prompted_inputs(two, "keys_values", tiny, views=3)
    assert isinstance(prompted, KeysValuesInputs)
    assert prompted.seen_as is None
    assert tiny.rough(inputs, 0) is None


def test_a_view_keeps_what_the_picture_holds() -> None:
    pixels = np.asarray(picture(1, 40, 40)).transpose(2, 0, 1)
    draw = np.random.default_rng(0)
    seen = [view(pixels, draw) for _ in range(20)]
    assert all(one.shape == pixels.shape and one.dtype == np.uint8 for one in seen)
    assert len({one.tobytes() for one in seen}) > 10
    changes = [np.abs(one.mean() - pixels.mean()) for one in seen]
    assert max(changes) < 10


def test_rough_views_lose_detail_but_not_the_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(3, 40, 40), dtype=np.uint8)
    worse = [rough(noise, np.random.default_rng(seed)) for seed in range(20)]
    spread = [float(one.astype(float).std()) for one in worse]
    assert max(spread) < noise.std() * 1.3
    assert min(spread) < noise.std() / 2


def test_a_row_is_always_as_rough(vit: TorchVisionBackbone) -> None:
    images: Mapping[str, bytes] = {str(n): encoded(picture(n)) for n in range(3)}
    rows = [KeptExample(n, "blob", "b", held_out=False, image=n) for n in images]
    together = ExampleEncoder(vit, images.__getitem__).rough(rows)
    alone = ExampleEncoder(vit, images.__getitem__).rough(rows[1:2])
    assert together is not None
    assert alone is not None
    assert together.shape == (3, vit.description.first_prompted + 1, vit.description.width)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)
    plain = ExampleEncoder(vit, images.__getitem__).plain(rows)
    assert np.abs(plain.lower(vit.description.first_prompted) - together).max() > 1e-3


def test_images_have_a_recipe_of_their_own_where_nobody_chose() -> None:
    chosen = PromptConfig(epochs=3)
    suited = chosen.suited("vision")
    assert (suited.epochs, suited.batch_size, suited.rate) == (3, 25, 0.05)
    assert chosen.suited("text") is chosen
    assert AutoConfig().suited("vision").views == 3


def test_the_learner_trains_images_by_it(vit: TorchVisionBackbone) -> None:
    method = build_method(LearnerConfig(method="sequential"), vit.description.modality)
    assert method.digest != build_method(LearnerConfig(method="sequential")).digest
