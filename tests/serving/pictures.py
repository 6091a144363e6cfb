"""Image files for tests: sound ones of every accepted form, and a small backbone that sees them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def shades(tone: int, width: int = 40, height: int = 30) -> Image.Image:
    """Red where tone is 0, blue where it is 1, with a bright stripe so that no two sizes agree."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[..., 2 * tone] = 220
    pixels[height // 3 : height // 2] = 200
    return Image.fromarray(pixels)


def written(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


RED = [written(shades(0, 40 + n, 30)) for n in range(3)]
BLUE = [written(shades(1, 40 + n, 30)) for n in range(3)]
TONES = {"tones": {"red": RED, "blue": BLUE}}


def image_folder(folder: Path, classes: dict[str, int]) -> Path:
    """Eight images of each class, of many sizes and kinds. classes: the tone of each."""
    for name, tone in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(8):
            image = shades(tone, 30 + 7 * number, 70 - 4 * number)
            form = ("PNG", "JPEG", "WEBP")[number % 3]
            (folder / name / f"{number}.{form.lower()}").write_bytes(written(image, form))
    return folder


def declaring(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header declares this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def unfolding(width: int, height: int) -> bytes:
    """A sound PNG of one colour: a small file that unpacks to this size."""
    rows = zlib.compress((b"\0" + b"\0" * width) * height, 9)
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, b"IDAT" + rows, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def unusual() -> dict[str, bytes]:
    """Sound files that are not 8-bit RGB, all of which are read."""
    blue = shades(1)
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = (np.asarray(blue.convert("L")).astype(np.uint16) * 257).copy()
    frames = [shades(tone) for tone in (1, 0, 1)]
    transparent = blue.convert("RGBA")
    transparent.putalpha(128)
    return {
        "grey": written(blue.convert("L")),
        "palette": written(blue.convert("P")),
        "one bit": written(blue.convert("1")),
        "16 bit": written(Image.fromarray(wide)),
        "transparent": written(transparent),
        "palette with transparency": written(blue.convert("P"), transparency=0),
        "CMYK": written(blue.convert("CMYK"), "JPEG"),
        "grey JPEG": written(blue.convert("L"), "JPEG"),
        "progressive": written(blue, "JPEG", progressive=True),
        "turned": written(blue, "JPEG", exif=turned),
        "WebP": written(blue, "WEBP", lossless=True),
        "animated WebP": written(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "animated PNG": written(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "tiny": written(shades(1, 3, 3)),
        "long": written(shades(1, 400, 10)),
    }


def broken() -> dict[str, bytes]:
    """Files that are none, or lie, all of which are refused."""
    jpeg = written(shades(0, 200, 150), "JPEG")
    return {
        "text": b"just a text",
        "zeros": bytes(1000),
        "a GIF": written(shades(0), "GIF"),
        "an animated GIF": written(shades(0), "GIF", save_all=True, append_images=[shades(1)]),
        "a BMP": written(shades(0), "BMP"),
        "a TIFF": written(shades(0), "TIFF"),
        "a PDF": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
        "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "a PNG's signature": b"\x89PNG\r\n\x1a\n",
        "a JPEG's start": b"\xff\xd8\xff\xe0",
        "a WebP's start": b"RIFF\x10\0\0\0WEBPVP8 ",
        "half a PNG": written(shades(0, 200, 150))[:150],
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "half a WebP": written(shades(0, 200, 150), "WEBP")[:60],
        "a bomb by its header": declaring(60_000, 60_000),
        "a bomb beyond Pillow's own limit": declaring(2**31 - 1, 2**31 - 1),
        "no width": declaring(0, 10),
        "less data than declared": declaring(300, 300),
        "a long line": unfolding(1_000_000, 1),
    }
