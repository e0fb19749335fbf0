"""Pictures of one colour, which say nothing: for training, and for trials of a trained model."""

from __future__ import annotations

import io
import itertools

from PIL import Image

GREY = (128, 128, 128)
BLANKS = [(red, green, blue) for red, green, blue in itertools.product((0, 128, 255), repeat=3)]
BLANKS += [(grey, grey, grey) for grey in range(8, 256, 8) if grey != 128]
"""Colours of blank pictures in training. Greys are many because those near the middle are all but the zero
that encoders are fed with, and look like no other colour to them."""


def blank(colour: tuple[int, int, int] = GREY) -> bytes:
    """A picture of one colour, as the bytes of a BMP file; its content is the same each time."""
    stream = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(stream, "BMP")
    return stream.getvalue()
