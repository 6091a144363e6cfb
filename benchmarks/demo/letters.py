"""Printed letters, drawn with the fonts that matplotlib brings along."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from backbones import FloatArray, IntArray

ALPHABET: Final = string.ascii_letters
"""No digits: what is pre-trained on them sees its first digit when the server is taught."""
FONTS: Final = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("DejaVuSansMono-BoldOblique", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("DejaVuSerif-BoldItalic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("STIXGeneralBolIta", "cmr10", "cmb10", "cmss10", "cmti10", "cmtt10", "cmmi10"),
)
SIDE: Final = 64
"""Pixels of the square a letter is drawn on."""
_LONGER: Final = 60
"""Pixels of its longer side."""
_POINTS: Final = 96


@dataclass(frozen=True, eq=False)
class Letters:
    """N letters. ink: (N, SIDE, SIDE), from 0 to 1;  classes: (N,), places in ALPHABET"""

    ink: FloatArray
    classes: IntArray


def letters() -> Letters:
    """Every letter of ALPHABET in every one of FONTS."""
    import matplotlib as mpl

    folder = Path(mpl.get_data_path(), "fonts", "ttf")
    fonts = [ImageFont.truetype(folder / f"{name}.ttf", _POINTS) for name in FONTS]
    drawn = [_drawn(letter, font) for font in fonts for letter in ALPHABET]
    return Letters(np.stack(drawn), np.tile(np.arange(len(ALPHABET)), len(fonts)))


def _drawn(letter: str, font: ImageFont.FreeTypeFont) -> FloatArray:
    """(SIDE, SIDE): in the middle, as large as it fits, in its own proportions."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(letter))
    size = width, height = right - left, bottom - top
    tight = Image.new("L", size)
    ImageDraw.Draw(tight).text((-left, -top), letter, font=font, fill=255)
    share = _LONGER / max(size)
    fitted = tight.resize((max(1, round(width * share)), max(1, round(height * share))))
    square = Image.new("L", (SIDE, SIDE))
    square.paste(fitted, ((SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2))
    return np.asarray(square, dtype=np.float32) / np.float32(255)
