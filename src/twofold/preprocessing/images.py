"""Pictures as input of an encoder: upright, resized, cropped, normalised.

It does not decode, see `twofold.preprocessing.picture_decoding`.

Shape letters: S side of the crop in pixels, C crops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twofold.posts import Image as Source
from twofold.preprocessing.picture_decoding import decoded_picture

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Turns a picture of each EXIF orientation upright (1 is upright)."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How pictures are prepared for an encoder, as in its training.

    Attributes:
        resize: pixels of the shorter side after resizing.
        crop: side S of the centre crop, at most ``resize``.
        mean: subtracted from each channel (red, green, blue), on the scale 0…255.
        std: each channel is divided by it, on the same scale.
        max_pixels: width times height above which a picture is refused before decoding.
        fit: ``crop`` as above, or ``squeeze``: both sides are resized to ``resize``, so that where S is
            ``resize`` nothing of the picture is cropped.
        resample: ``bicubic``, ``bilinear`` or ``lanczos``.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, ...] = (127.0, 127.0, 127.0)
    std: tuple[float, ...] = (128.0, 128.0, 128.0)
    max_pixels: int = 64_000_000
    fit: str = "crop"
    resample: str = "bicubic"


PREPARATION = 2
"""Goes up when a picture gives other pixels than before, so that features cached before are not used."""
FITS = ("crop", "squeeze")
"""Names for `PictureSettings.fit`."""
RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


def read_picture(image: Source, settings: PictureSettings) -> tuple[NDArray[np.float32], str]:
    """Read a picture: shorter side resized and centre cropped (or all squeezed), normalised.

    Args:
        image: a file, or the file's bytes.
        settings: sizes and normalisation.

    Returns:
        Pixels, float32 (3, S, S), and a warning for the user, empty for none.

    Raises:
        PictureError: it cannot be read; the message gives the reason.
    """
    side = settings.crop
    with decoded_picture(image, settings.resize, settings.max_pixels) as picture:
        square = picture.pixels.resize(
            (side, side),
            RESAMPLING[settings.resample],
            box=_CROP_BOX[settings.fit](picture.pixels.size, side / settings.resize),
        )
        return _normalise(_to_rgb(square, picture.orientation), settings), picture.warning


def read_crops(
    image: Source, boxes: Sequence[tuple[float, float, float, float]], settings: PictureSettings
) -> NDArray[np.float32]:
    """Read crops of a picture, each squeezed to a square.

    Args:
        image: a file, or the file's bytes.
        boxes: C crops: left, top, right, bottom as fractions of the upright picture.
        settings: sizes and normalisation.

    Returns:
        Pixels, float32 (C, 3, S, S).

    Raises:
        PictureError: it cannot be read; the message gives the reason.
    """
    smallest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes)
    min_side = min(math.ceil(settings.crop / smallest), settings.max_pixels)
    size, how = (settings.crop, settings.crop), RESAMPLING[settings.resample]
    with decoded_picture(image, min_side, settings.max_pixels) as picture:
        upright = _upright(picture.pixels, picture.orientation)
        width, height = upright.size
        parts = [
            upright.resize(size, how, box=(x0 * width, y0 * height, x1 * width, y1 * height))
            for x0, y0, x1, y1 in boxes
        ]
        return np.stack([_normalise(_to_rgb(part, 1), settings) for part in parts])


def read_thumbnail(image: Source, longest: int, max_pixels: int = 64_000_000) -> Image.Image:
    """Read a picture for display: whole, upright, RGB, never enlarged.

    Args:
        image: a file, or the file's bytes.
        longest: pixels of the longer side, at most.
        max_pixels: as in `PictureSettings`.

    Raises:
        PictureError: it cannot be read; the message gives the reason.
    """
    with decoded_picture(image, longest, max_pixels) as picture:
        width, height = picture.pixels.size
        scale = min(1.0, longest / max(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return _to_rgb(picture.pixels.resize(size, Image.Resampling.BICUBIC), picture.orientation)


def _centre(size: tuple[int, int], fraction: float) -> tuple[float, float, float, float]:
    """The centred square that resizing the shorter side and cropping would keep.

    Cropping before resizing gives the same pixels, and a picture of 1 x 5000 needs little memory.
    """
    width, height = size
    half = min(size) * fraction / 2
    return width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half


def _middle(size: tuple[int, int], fraction: float) -> tuple[float, float, float, float]:
    """The middle of either side, which squeezing to a square and cropping would keep."""
    width, height = size
    left, top = width * (1 - fraction) / 2, height * (1 - fraction) / 2
    return left, top, width - left, height - top


_CROP_BOX = {"crop": _centre, "squeeze": _middle}


def _to_rgb(small: Image.Image, orientation: int) -> Image.Image:
    """Upright, and over white where transparent; cheap on a picture that is small already."""
    small = _upright(small, orientation)
    if small.mode == "RGBA":
        background = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(background, small)
    return small.convert("RGB")


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    transpose = _TRANSPOSE.get(orientation)
    return picture if transpose is None else picture.transpose(transpose)


def _normalise(picture: Image.Image, settings: PictureSettings) -> NDArray[np.float32]:
    mean, std = (np.array(x, np.float32)[:, None, None] for x in (settings.mean, settings.std))
    bytes_ = np.asarray(picture).transpose(2, 0, 1)  # (3, S, S)
    pixels = np.empty(bytes_.shape, np.float32)  # in this order in memory, written once: 7 times as fast
    np.subtract(bytes_, mean, out=pixels)
    pixels /= std
    return pixels
