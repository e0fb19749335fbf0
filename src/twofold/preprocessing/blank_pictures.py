"""Blank pictures, of one colour: for training and for robustness evaluation."""

from __future__ import annotations

import io
import itertools

from PIL import Image

GREY = (128, 128, 128)
BLANK_COLOURS = [(red, green, blue) for red, green, blue in itertools.product((0, 128, 255), repeat=3)]
BLANK_COLOURS += [(grey, grey, grey) for grey in range(8, 256, 8) if grey != 128]
"""Colours of blank pictures in training. Many of them are greys, because after normalisation greys near the
middle are almost zero, unlike any other colour."""


def blank(colour: tuple[int, int, int] = GREY) -> bytes:
    """A picture of one colour, as the bytes of a BMP file; its content is the same each time."""
    stream = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(stream, "BMP")
    return stream.getvalue()
