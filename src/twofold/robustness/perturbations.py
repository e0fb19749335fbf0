"""Perturbed pictures: noise, blur, an occluded part; and truncated files, which cannot be read.

The same picture with the same key is always perturbed in the same way. Noise and blur have the highest
severity of ImageNet-C (Hendrycks & Dietterich 2019); their effect does not depend on the size of the picture.
This module does not know posts.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from twofold.errors import PictureError
from twofold.posts import Image as Source
from twofold.preprocessing.blank_pictures import GREY
from twofold.preprocessing.images import read_thumbnail
from twofold.preprocessing.picture_files import file_bytes

Random = np.random.Generator

LONGEST = 512
"""Maximum length of the longer side of a perturbed picture, in pixels."""
NOISE = 0.38
"""Standard deviation of the noise added to each channel, which goes from 0 to 1."""
BLUR = 6 / 224
"""Standard deviation of the blur, as a fraction of the shorter side."""
OCCLUDED_AREA = 0.5
"""Fraction of the area that is occluded."""
_SMALL = 64


def perturb(how: str, image: Source, key: str) -> bytes:
    """Perturb a picture.

    Args:
        how: a name in `PERTURBATIONS`.
        image: a file, or the file's bytes.
        key: key of the post; the random part depends only on it and on ``how``.

    Raises:
        PictureError: the picture cannot be read.
    """
    seed = hashlib.sha256(f"{how} {key}".encode("utf-8", "surrogatepass")).digest()
    random = np.random.default_rng(list(seed))
    return _to_bytes(PERTURBATIONS[how](read_thumbnail(image, LONGEST), random))


def truncated(image: Source) -> bytes:
    """The first half of the file, as after an interrupted download: it cannot be read as a picture."""
    data = file_bytes(image)
    rest = data[: len(data) // 2]
    while readable(rest):  # other data follows the picture in the file
        rest = rest[: len(rest) // 2]
    return rest


def readable(image: Source) -> bool:
    """Whether the picture can be read."""
    try:
        read_thumbnail(image, _SMALL)
    except PictureError:
        return False
    return True


def _noisy(picture: Image.Image, random: Random) -> Image.Image:
    values = np.asarray(picture, np.float32)
    noise = random.standard_normal(values.shape, np.float32) * (255 * NOISE)
    return Image.fromarray(np.clip(np.rint(values + noise), 0, 255).astype(np.uint8))


def _blurred(picture: Image.Image, random: Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(BLUR * min(picture.size)))


def _occluded(picture: Image.Image, random: Random) -> Image.Image:
    """Cover a random part with a grey patch that has the proportions of the picture."""
    size = [max(1, round(side * OCCLUDED_AREA**0.5)) for side in picture.size]
    corner = [int(random.integers(0, side - part + 1)) for side, part in zip(picture.size, size, strict=True)]
    covered = picture.copy()
    covered.paste(GREY, (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]))
    return covered


PERTURBATIONS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "noisy": _noisy,
    "blurred": _blurred,
    "occluded": _occluded,
}
"""Ways to perturb a picture, by name."""


def _to_bytes(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "BMP")  # uncompressed, which is fast
    return out.getvalue()
