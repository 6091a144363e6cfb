"""Files become the pixels that the model's own library would make of them."""

from __future__ import annotations

from contextlib import suppress
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backbones import Input, InvalidInput
from backbones._torchvision import define_missing_operators
from backbones.images import decoded
from backbones.vision.pixels import LONGEST, PixelTransform, _middle
from tests.backbones.vision.models import encoded, picture


@settings(deadline=None)  # the first call imports timm
@given(
    width=st.integers(12, 90),  # within LONGEST of each other
    height=st.integers(12, 90),
    share=st.sampled_from([1.0, 0.95, 0.9, 0.875]),
    mode=st.sampled_from(["center", "squash"]),
)
def test_equals_timm_s_transform(width: int, height: int, share: float, mode: str) -> None:
    define_missing_operators()
    from timm.data.transforms_factory import create_transform

    ours = PixelTransform(size=24, tokens=10, crop_share=share, crop_mode=mode)  # type: ignore[arg-type]
    theirs = create_transform(
        input_size=(3, 24, 24),
        interpolation="bicubic",
        crop_pct=share,
        crop_mode=mode,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    image = picture(width * 100 + height, width, height)
    expected = (theirs(image).numpy() * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(ours.square(image), expected)


def test_a_batch_carries_bytes_and_tokens() -> None:
    batch = PixelTransform(size=24, tokens=10)([Input(image=encoded(picture(0)))] * 2)
    assert batch.fields["pixels"][1].dtype == np.uint8
    assert batch.lengths.tolist() == [10, 10]


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_undone(turn: int) -> None:
    upright = picture(3, 40, 20)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[turn]) if turn in undo else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    np.testing.assert_array_equal(decoded(encoded(stored, exif=exif)), upright)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    grey = picture(5).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode)
    got = decoded(encoded(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert got.mode == "RGB"
    if mode in ("L", "LA", "RGBA", "I;16"):
        np.testing.assert_array_equal(np.asarray(got)[..., 0], np.asarray(grey))


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [picture(seed) for seed in (1, 2)]
    moving = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(decoded(moving), frames[0])


def test_too_many_pixels_are_refused_by_the_header() -> None:
    huge = bytearray(encoded(picture(0, 10, 10)))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2  # IHDR: width, height, then its checksum
    huge[29:33] = crc32(huge[12:29]).to_bytes(4, "big")
    with pytest.raises(InvalidInput, match="pixels"):
        decoded(bytes(huge))
    with pytest.raises(InvalidInput, match="40 x 30 pixels; at most 1000 are accepted"):
        decoded(encoded(picture(0)), max_pixels=1000)


@given(seed=st.integers(0, 2**20), form=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_damaged_files_are_refused_or_decoded(seed: int, form: str) -> None:
    data = bytearray(encoded(picture(seed), form))
    draw = np.random.default_rng(seed)
    if seed % 2:
        del data[int(draw.integers(len(data))) :]
    for place in draw.integers(len(data), size=5) if data else ():
        data[place] = draw.integers(256)
    with suppress(InvalidInput):
        assert decoded(bytes(data), max_pixels=100_000).mode == "RGB"


def test_a_gif_is_no_accepted_form() -> None:
    with pytest.raises(InvalidInput, match="no PNG, JPEG or WEBP"):
        decoded(encoded(picture(0), "GIF"))


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (3, 2000)])
def test_a_very_long_image_costs_no_more_than_others(size: tuple[int, int]) -> None:
    transform = PixelTransform(size=24, tokens=10, crop_share=0.9)
    line = picture(1, *size)
    assert transform.square(line).shape == (3, 24, 24)
    assert max(transform._resized(_middle(line))) <= 24 / 0.9 * (LONGEST + 2)
