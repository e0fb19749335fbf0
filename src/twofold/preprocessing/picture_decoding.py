"""Decodes untrusted pictures to 8 bits per channel.

The format must be on a short list, the size is checked in the header before a pixel is decoded, and any error
is a `PictureError` that gives the reason. Pillow decodes.

It ignores colour profiles (values are taken as sRGB), decodes only the first frame of an animation and the
first page of a document, and converts CMYK without ink profiles.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from twofold.errors import PictureError
from twofold.posts import Image as Source
from twofold.preprocessing.picture_files import EXPECTED, describe_picture, picture_stream
from twofold.preprocessing.picture_kinds import AVIF, HEAD_BYTES, HEIC, kind_of
from twofold.preprocessing.pixel_budget import PixelBudget

_AVIF = ("AVIF",) if importlib.util.find_spec("PIL.AvifImagePlugin") else ()  # since Pillow 11.3
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", *_AVIF)
"""The only decoders that are used, besides that of HEIC where its package is installed."""
_STRIPE = 1 << 20
"""Pixels scaled at once, where values of more than 8 bits are scaled to 8."""
_PIXEL_BUDGET = PixelBudget(64_000_000)
_ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture with its pixels in memory.

    Attributes:
        pixels: RGB, RGBA or L, as in the file, not yet turned upright.
        orientation: of EXIF; 1 is upright.
        warning: for the user, on how it was read; "" for none.
    """

    pixels: Image.Image
    orientation: int
    warning: str


@contextlib.contextmanager
def decoded_picture(image: Source, min_side: int, max_pixels: int) -> Iterator[DecodedPicture]:
    """The decoded picture; a JPEG is reduced to a half, quarter or eighth, but not below ``min_side``.

    While the block runs, its pixels count against the pixel budget.

    Raises:
        PictureError: for any error in the block.
    """
    where = describe_picture(image)
    with picture_stream(image) as stream, PILLOW_WARNINGS_OFF:
        try:
            with (
                _opened(stream, min_side, max_pixels) as picture,
                _PIXEL_BUDGET.reserve(math.prod(picture.size)),
            ):
                yield _loaded(picture)
        except UnidentifiedImageError as error:
            raise _not_a_picture(stream, where) from error
        except Image.DecompressionBombError as error:
            raise _too_large("", where, max_pixels) from error
        except _TooLargeError as error:
            raise _too_large(f" ({error})", where, max_pixels) from error
        except Exception as error:
            # Decoders raise nearly anything on broken data; it all means the same here.
            raise PictureError(_decoding_error(error), where=where, do="save or download it again") from error


def check_pixels(image: Source, max_pixels: int) -> None:
    """Check the size of a picture by its header; other errors show when it is decoded.

    Raises:
        PictureError: it has more pixels.
    """
    where = describe_picture(image)
    try:
        with picture_stream(image) as stream, PILLOW_WARNINGS_OFF, _opened(stream, 1, max_pixels):
            pass
    except (_TooLargeError, Image.DecompressionBombError) as error:
        size = f" ({error})" if isinstance(error, _TooLargeError) else ""
        raise _too_large(size, where, max_pixels) from error
    except Exception:  # Not a picture, or a damaged one: reported where it is decoded.
        return


class _TooLargeError(Exception):
    """The header gives more pixels than are allowed."""


def _opened(stream: BinaryIO, min_side: int, max_pixels: int) -> Image.Image:
    """The picture with its header read and no pixel decoded."""
    heic = kind_of(stream.read(HEAD_BYTES)) == HEIC and _register_heic()
    stream.seek(0)
    picture = Image.open(stream, formats=("HEIF",) if heic else FORMATS)
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        raise _TooLargeError(f"{width} x {height}")
    picture.draft(None, (min_side, min_side))
    return picture


def _register_heic() -> bool:
    """Whether the package that decodes HEIC is installed; Pillow then uses it."""
    try:
        import pi_heif
    except ImportError:
        return False
    pi_heif.register_heif_opener(thumbnails=False)
    return True


def _loaded(picture: Image.Image) -> DecodedPicture:
    warnings_ = _frame_warnings(picture)
    picture.load()
    orientation = _orientation(picture, warnings_)  # after load: PNG may carry it at its end
    return DecodedPicture(_to_8_bit(picture, warnings_), orientation, "; ".join(warnings_))


def _too_large(size: str, where: str, max_pixels: int) -> PictureError:
    what = f"the picture is too large: its header says more than {max_pixels:,} pixels{size}"
    return PictureError(what, where=where, do="make it smaller; it was not decoded")


def _not_a_picture(stream: BinaryIO, where: str) -> PictureError:
    stream.seek(0)
    kind = kind_of(stream.read(HEAD_BYTES))
    if kind == HEIC:
        do = "install the package that reads it: pip install pi-heif (the extra heif), or save it as JPEG"
        return PictureError(f"{kind}, which needs a package of its own", where=where, do=do)
    if kind == AVIF:
        do = "install Pillow 11.3 or newer, or save it as JPEG"
        return PictureError(f"{kind} that this Pillow cannot read, or a damaged one", where=where, do=do)
    return PictureError(
        f"not a picture{f', it looks like {kind}' * bool(kind)}", where=where, expected=EXPECTED
    )


def _decoding_error(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode the picture"
    if "truncated" in str(error).lower():
        return "the picture is truncated: the file ends before the picture does"
    return "the picture is damaged"  # and no more: decoders quote bytes of the file


def _frame_warnings(picture: Image.Image) -> list[str]:
    if not getattr(picture, "is_animated", False) or picture.format == "MPO":
        return []  # MPO: a JPEG followed by its own preview or depth map
    if picture.format == "TIFF":
        return ["several pages: only the first was read"]
    return ["animated: only the first frame was read"]


def _orientation(picture: Image.Image, warnings_: list[str]) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Damaged metadata; the pixels are good, so the picture is read.
        warnings_.append("its EXIF data cannot be read: taken as upright")
        return 1
    return value if isinstance(value, int) else 1


def _to_8_bit(picture: Image.Image, warnings_: list[str]) -> Image.Image:
    """RGB, RGBA where anything may be transparent, or L (grey); 8 bits per channel."""
    if picture.mode[0] in "IF":  # I;16, I;16B, I, F: one channel of more than 8 bits
        return _grey_to_8_bit(picture, warnings_)
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _grey_to_8_bit(picture: Image.Image, warnings_: list[str]) -> Image.Image:
    """Scaled to 8 bits stripe by stripe, since a float copy takes four to eight times the memory."""
    low, high = 0.0, 65535.0
    if not picture.mode.startswith("I;16"):
        low, high = _range(picture)
        warnings_.append(f"32-bit values scaled from {low:g} to {high:g}")
    clear = picture.info.get("transparency")  # the one value that means transparent
    grey = Image.new("L", picture.size)
    for top, values in _stripes(picture):
        with np.errstate(invalid="ignore"):  # infinities of a float picture
            scaled = np.rint((values - low) * (255.0 / max(high - low, 1e-12)))
        eight = np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)
        if isinstance(clear, int):
            eight[values == clear] = 255
        grey.paste(Image.fromarray(eight), (0, top))
    return grey


def _stripes(picture: Image.Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Stripes of rows of a picture of one channel, each with the index of its first row."""
    width, height = picture.size
    step = max(1, _STRIPE // width)
    for top in range(0, height, step):
        part = picture.crop((0, top, width, min(top + step, height)))
        yield top, np.asarray(part).astype(np.float32)


def _range(picture: Image.Image) -> tuple[float, float]:
    """Bounds of the finite values; 32-bit formats do not define black and white."""
    finite = (values[np.isfinite(values)] for _, values in _stripes(picture))
    bounds = [(float(part.min()), float(part.max())) for part in finite if part.size]
    return (min(low for low, _ in bounds), max(high for _, high in bounds)) if bounds else (0.0, 1.0)


class _PillowWarningsOff:
    """Hides Pillow's own warnings while any thread is in the block.

    ``warnings.catch_warnings`` alone is not safe here: of two overlapping threads, the one that leaves last
    would restore the filter of the other for good. So the first thread in sets it, the last out resets it.
    """

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)  # a child has none of the threads in the block

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.close()


PILLOW_WARNINGS_OFF = _PillowWarningsOff()
