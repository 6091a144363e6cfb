"""Every supported vision model keeps the promises of this room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import Input, InvalidInput, SourceError, UnsupportedModel, load
from backbones.checks import check_backbone, check_trainable, random_prefix
from backbones.tensors import TensorPrefix
from backbones.vision.backbone import TorchVisionBackbone
from backbones.vision.sources import find_vision
from tests.backbones.vision.conftest import load_vision
from tests.backbones.vision.models import IMAGES, encoded, picture, plain_features, timm_vit


def test_conforms(vision: TorchVisionBackbone, vision_folder: Path) -> None:
    check_backbone(vision, IMAGES, plain_features(vision_folder))


def test_trains_what_it_serves(vision: TorchVisionBackbone) -> None:
    check_trainable(vision, IMAGES)


def test_a_gradient_reaches_every_prompted_layer(vision: TorchVisionBackbone) -> None:
    lower = vision.lower(vision.preprocess(IMAGES))
    prefix = random_prefix(vision.description, 2, 0)
    rows = torch.tensor(prefix.keys_values, requires_grad=True)
    features = vision.features(lower, np.arange(6), TensorPrefix(rows, torch.tensor(prefix.bias)))
    features.pow(3).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert (rows.grad.abs().amax(dim=(1, 2, 3, 4)) > 0).all()
    assert not any(p.requires_grad for p in vision.encoder.model.module.parameters())


def test_bf16_is_close_and_shares_the_lower_layers(vision_folder: Path) -> None:
    half = load_vision(vision_folder, precision="bf16")
    lower = half.lower(half.preprocess(IMAGES))
    prefix = random_prefix(half.description, 2, 0)
    exact = half.encode_lower_layers(lower, prefix)
    close = half.encode_lower_layers(lower, prefix, half=True)
    assert 0 < np.abs(exact - close).max() < 0.05
    trainer = half._trainer(half.description.first_prompted)
    own = {id(p) for p in half.encoder.model.module.parameters()}
    shared = [p for p in trainer.model.module.parameters() if id(p) in own]
    assert shared
    assert all(p.dtype == torch.float32 for p in half.encoder.model.module.parameters())


def test_a_chosen_size_interpolates_the_positions(vision_folder: Path) -> None:
    larger = load_vision(vision_folder, image_size=48)
    assert larger.description.max_length > load_vision(vision_folder).description.max_length
    batch = larger.preprocess(IMAGES)
    assert batch.fields["pixels"][0].shape == (3, 48, 48)
    check_backbone(larger, IMAGES)


def test_the_fingerprint_names_the_function(vision_folders: dict[str, Path]) -> None:
    folder = vision_folders["timm"]
    names = [
        load_vision(folder).description.fingerprint,
        load_vision(folder, prompted_layers=1).description.fingerprint,
        load_vision(folder, image_size=48).description.fingerprint,
        load_vision(vision_folders["timm-average"]).description.fingerprint,
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_two_thirds_of_the_layers_are_prompted(vit: TorchVisionBackbone) -> None:
    assert vit.description.layers == 3
    assert vit.description.prompted_layers == 2


def test_the_pooled_layers_are_means_of_patches(vit: TorchVisionBackbone) -> None:
    batch = vit.preprocess(IMAGES)
    model = vit.encoder.model
    with torch.inference_mode():
        hidden = model.embedded(vit._collated(batch, np.arange(6)).pixels)
        expected = torch.nn.functional.normalize(hidden[:, 1:].mean(dim=1), dim=-1)
    got = vit.encode_layers(batch).pooled[:, 0]
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-6)


def test_any_name_leads_to_the_right_modality(vision_folders: dict[str, Path]) -> None:
    assert load(str(vision_folders["timm"]), threads=1).description.modality == "vision"
    assert find_vision("minilm") is None


def test_a_folder_of_weights_is_known_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "vit_tiny_patch16_224"
    folder.mkdir()
    timm_vit(folder)
    (folder / "config.json").unlink()
    with pytest.raises(SourceError, match="could not be loaded as timm's vit_tiny_patch16_224"):
        load(str(folder))  # the weights are those of a smaller model


def test_models_that_take_no_prefix_are_refused(tmp_path: Path) -> None:
    from transformers import ConvNextConfig, ConvNextModel

    config = ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 8], num_stages=2, image_size=32)
    ConvNextModel(config).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModel, match="ViT and DINOv2"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (Input("a text"), "input 1: a vision backbone needs an image, got a text"),
        (Input(), "got nothing"),
        (Input(image=b"\x89PNG"), "input 1: the bytes are no PNG, JPEG or WEBP image"),
        (Input(image=encoded(picture(0))[:60]), "input 1: the image is truncated or damaged"),
    ],
)
def test_what_is_no_image_is_refused_by_number(
    one: Input, reason: str, vit: TorchVisionBackbone
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        vit.preprocess([IMAGES[0], one])
