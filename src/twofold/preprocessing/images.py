"""Pictures as numbers: open with suspicion, turn upright, resize, crop, normalise; a cache of features.

A picture comes from a stranger. Its format must be on a short list, its size is checked in the header
before a pixel is decoded, and whatever is wrong with it ends as one `PictureError` that says so; a
placeholder is never put in its place. Decoding is Pillow's.

It does not know colour profiles (the numbers are taken as sRGB), it reads the first frame of an
animation and the first page of a document only, and CMYK is converted without ink profiles.

Shape letters: S side of the crop in pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import math
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from twofold.errors import DataError, PictureError
from twofold.posts import Image as Source
from twofold.posts import RefusedPicture
from twofold.preprocessing.picture_kinds import AVIF, HEIC, LOOKED_AT, kind_of
from twofold.preprocessing.pixel_budget import PixelBudget

_AVIF_TOO = ("AVIF",) if importlib.util.find_spec("PIL.AvifImagePlugin") else ()  # since Pillow 11.3
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", *_AVIF_TOO)
"""The only decoders that ever see a picture, and that of HEIC where its package is installed."""
MOST_BYTES = 1 << 29
"""Of a picture's file; a larger one is refused unread."""
_KNOWN = "a JPEG, PNG, GIF, WebP, AVIF, BMP or TIFF picture"
_STRIPE = 1 << 20
"""Pixels that are worked on together where numbers of more than 8 bits are scaled."""
_IN_FLIGHT = PixelBudget(64_000_000)
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture of each EXIF orientation upright (1 is upright)."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How a picture becomes the numbers an encoder was trained on.

    Attributes:
        resize: pixels of the shorter side after resizing.
        crop: side S of the centre crop, at most ``resize``.
        mean: subtracted from each channel (red, green, blue), on the scale 0…255.
        std: each channel is divided by it, on the same scale.
        max_pixels: width times height above which a picture is refused unseen.
        fit: ``crop`` as said above, or ``squeeze``: both sides are resized alike, so that where S is
            ``resize`` the whole picture is seen.
        filter: ``bicubic``, ``bilinear`` or ``lanczos``, how pixels are resampled.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, ...] = (127.0, 127.0, 127.0)
    std: tuple[float, ...] = (128.0, 128.0, 128.0)
    max_pixels: int = 64_000_000
    fit: str = "crop"
    filter: str = "bicubic"


FITS = ("crop", "squeeze")
"""Names for `PictureSettings.fit`."""
FILTERS = {
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
        Pixels, float32 (3, S, S), and a remark for the user, empty where there is nothing to say.

    Raises:
        PictureError: with what is wrong with it.
    """
    side = settings.crop
    with _decoded(image, 2 * settings.resize, settings.max_pixels) as picture:
        square = picture.pixels.resize(
            (side, side),
            FILTERS[settings.filter],
            box=_KEPT[settings.fit](picture.pixels.size, side / settings.resize),
        )
        return _normalise(_finish(square, picture.orientation), settings), picture.remark


def read_crops(
    image: Source, boxes: Sequence[tuple[float, float, float, float]], settings: PictureSettings
) -> NDArray[np.float32]:
    """Read parts of a picture, each squeezed to a square so that nothing of it is lost.

    Args:
        image: a file, or the file's bytes.
        boxes: C parts: left, top, right, bottom as fractions of the upright picture.
        settings: sizes and normalisation.

    Returns:
        Pixels, float32 (C, 3, S, S).

    Raises:
        PictureError: with what is wrong with it.
    """
    smallest = min(min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes)
    enough = min(math.ceil(settings.crop / smallest), settings.max_pixels)
    size, how = (settings.crop, settings.crop), FILTERS[settings.filter]
    with _decoded(image, enough, settings.max_pixels) as picture:
        upright = _turned(picture.pixels, picture.orientation)
        width, height = upright.size
        parts = [
            upright.resize(size, how, box=(x0 * width, y0 * height, x1 * width, y1 * height))
            for x0, y0, x1, y1 in boxes
        ]
        return np.stack([_normalise(_finish(part, 1), settings) for part in parts])


def read_thumbnail(image: Source, longest: int, max_pixels: int = 64_000_000) -> Image.Image:
    """Read a picture for people to look at: whole, upright, RGB, never enlarged.

    Args:
        image: a file, or the file's bytes.
        longest: pixels of the longer side, at most.
        max_pixels: as in `PictureSettings`.

    Raises:
        PictureError: with what is wrong with it.
    """
    with _decoded(image, longest, max_pixels) as picture:
        width, height = picture.pixels.size
        scale = min(1.0, longest / max(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return _finish(picture.pixels.resize(size, Image.Resampling.BICUBIC), picture.orientation)


def content_hash(image: Source) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits; the same for a file and for its bytes.

    Raises:
        PictureError: where the file cannot be read.
    """
    with _stream(image) as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_bytes(image: Source) -> bytes:
    """The file as it is.

    Raises:
        PictureError: where it cannot be read.
    """
    with _stream(image) as stream:
        return stream.read()


# --- opening -----------------------------------------------------------------------------------------


def _where(image: Source) -> str:
    if isinstance(image, bytes):
        return f"picture of {len(image)} bytes"
    name = str(image.path if isinstance(image, RefusedPicture) else image)
    return name if name.isprintable() else ascii(name)


@contextlib.contextmanager
def _stream(image: Source) -> Iterator[BinaryIO]:
    """The file's bytes; whatever goes wrong with them in the block is a `PictureError`."""
    where = _where(image)
    if isinstance(image, RefusedPicture):
        raise PictureError(image.reason, where=where, do=image.do)
    try:
        with io.BytesIO(image) if isinstance(image, bytes) else _open_file(image) as stream:
            if not stream.read(1):
                raise PictureError("the picture is empty (0 bytes)", where=where, expected=_KNOWN)
            stream.seek(0)
            yield stream
    except (OSError, ValueError, MemoryError) as error:
        raise PictureError(_file_trouble(error), where=where, expected=_KNOWN) from error


def _open_file(path: Path) -> BinaryIO:
    # Looked at before it is opened: opening a pipe would wait for its writer for ever.
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is a device or a pipe, not a file")
    if found.st_size > MOST_BYTES:
        raise ValueError(f"it has {found.st_size:,} bytes, and more than {MOST_BYTES:,} are not read")
    return path.open("rb")


def _file_trouble(error: OSError | ValueError | MemoryError) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "file not found"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, not a file"
    if isinstance(error, PermissionError):
        return "no permission to read the file"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    detail = error.strerror if isinstance(error, OSError) else str(error)
    return f"the file cannot be read: {detail or type(error).__name__}"


# --- decoding ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Picture:
    pixels: Image.Image  # RGB or RGBA, as it lies in the file, not yet turned upright
    orientation: int
    remark: str


@contextlib.contextmanager
def _decoded(image: Source, enough: int, max_pixels: int) -> Iterator[_Picture]:
    """The picture at a shorter side of at least ``enough`` (JPEG decodes to a half, quarter or eighth).

    While the block runs its pixels count among those in flight. Whatever goes wrong in it is this picture's
    trouble, and a `PictureError`.
    """
    where = _where(image)
    with _stream(image) as stream, _PILLOW_QUIET:
        try:
            with _opened(stream, enough, max_pixels) as picture, _IN_FLIGHT.room_for(math.prod(picture.size)):
                yield _loaded(picture)
        except UnidentifiedImageError as error:
            raise _not_a_picture(stream, where) from error
        except Image.DecompressionBombError as error:
            raise _too_large("", where, max_pixels) from error
        except _TooLargeError as error:
            raise _too_large(f" ({error})", where, max_pixels) from error
        except Exception as error:
            # Decoders fed with broken data raise nearly anything; every kind means the same here.
            raise PictureError(_broken(error), where=where, do="save or download it again") from error


class _TooLargeError(Exception):
    """The header promises more pixels than are allowed."""


def _opened(stream: BinaryIO, enough: int, max_pixels: int) -> Image.Image:
    """The picture with its header read and not a pixel decoded."""
    heic = kind_of(stream.read(LOOKED_AT)) == HEIC and _knows_heic()
    stream.seek(0)
    picture = Image.open(stream, formats=("HEIF",) if heic else FORMATS)
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        raise _TooLargeError(f"{width} x {height}")
    picture.draft(None, (enough, enough))
    return picture


def _knows_heic() -> bool:
    """Whether the package that decodes HEIC is there; it then is known to Pillow."""
    try:
        import pi_heif
    except ImportError:
        return False
    pi_heif.register_heif_opener(thumbnails=False)
    return True


def _loaded(picture: Image.Image) -> _Picture:
    remarks = _frames(picture)
    picture.load()
    orientation = _orientation(picture, remarks)  # after load: PNG may carry it at its end
    return _Picture(_eight_bit(picture, remarks), orientation, "; ".join(remarks))


def _too_large(size: str, where: str, max_pixels: int) -> PictureError:
    what = f"the picture is too large: its header promises more than {max_pixels:,} pixels{size}"
    return PictureError(what, where=where, do="make it smaller; it was not decoded")


def _not_a_picture(stream: BinaryIO, where: str) -> PictureError:
    stream.seek(0)
    kind = kind_of(stream.read(LOOKED_AT))
    if kind == HEIC:
        do = "run: pip install pi-heif (it is the extra heif of Twofold), or save the picture as JPEG"
        return PictureError(f"{kind}, which needs a package of its own", where=where, do=do)
    if kind == AVIF:
        do = "install Pillow 11.3 or newer, or save it as JPEG"
        return PictureError(f"{kind} that this Pillow cannot read, or a damaged one", where=where, do=do)
    return PictureError(
        f"not a picture{f', it looks like {kind}' * bool(kind)}", where=where, expected=_KNOWN
    )


def _broken(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode the picture"
    detail = str(error).strip() or type(error).__name__
    if "truncated" in detail.lower():
        return "the picture is truncated: the file ends before the picture does"
    return f"the picture is damaged: {detail}"


def _frames(picture: Image.Image) -> list[str]:
    if not getattr(picture, "is_animated", False) or picture.format == "MPO":
        return []  # MPO: a JPEG that carries its own preview or depth map behind it
    if picture.format == "TIFF":
        return ["several pages: only the first was read"]
    return ["animated: only the first frame was read"]


def _orientation(picture: Image.Image, remarks: list[str]) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Damaged side data, as above; the pixels are good, so the picture is read.
        remarks.append("its EXIF data cannot be read: taken as upright")
        return 1
    return value if isinstance(value, int) else 1


def _eight_bit(picture: Image.Image, remarks: list[str]) -> Image.Image:
    """RGB, RGBA where anything may be transparent, or L (grey); 8 bits a channel."""
    if picture.mode[0] in "IF":  # I;16, I;16B, I, F: one channel of more than 8 bits
        return _deep_grey(picture, remarks)
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _deep_grey(picture: Image.Image, remarks: list[str]) -> Image.Image:
    """Scaled to 8 bits stripe by stripe, since a copy as float is four to eight times the result."""
    low, high = 0.0, 65535.0
    if not picture.mode.startswith("I;16"):
        low, high = _range(picture)
        remarks.append(f"32-bit values scaled from {low:g} to {high:g}")
    clear = picture.info.get("transparency")  # the one value that stands for "nothing here"
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
    """Rows of a picture of one channel, some at a time, each with the number of its first."""
    width, height = picture.size
    step = max(1, _STRIPE // width)
    for top in range(0, height, step):
        part = picture.crop((0, top, width, min(top + step, height)))
        yield top, np.asarray(part).astype(np.float32)


def _range(picture: Image.Image) -> tuple[float, float]:
    """Bounds of the finite values; 32 bits do not say what stands for black and for white."""
    finite = (values[np.isfinite(values)] for _, values in _stripes(picture))
    bounds = [(float(part.min()), float(part.max())) for part in finite if part.size]
    return (min(low for low, _ in bounds), max(high for _, high in bounds)) if bounds else (0.0, 1.0)


# --- shaping -----------------------------------------------------------------------------------------


def _centre(size: tuple[int, int], part: float) -> tuple[float, float, float, float]:
    """The centred square that resizing the shorter side and cropping would keep.

    Cutting before resizing gives the same pixels, and a picture of 1 x 5000 needs no memory.
    """
    width, height = size
    half = min(size) * part / 2
    return width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half


def _middle(size: tuple[int, int], part: float) -> tuple[float, float, float, float]:
    """The middle part of either side, which squeezing to a square and cropping would keep."""
    width, height = size
    left, top = width * (1 - part) / 2, height * (1 - part) / 2
    return left, top, width - left, height - top


_KEPT = {"crop": _centre, "squeeze": _middle}


def _finish(small: Image.Image, orientation: int) -> Image.Image:
    """Upright and over white; done on the small picture, where both cost nothing."""
    small = _turned(small, orientation)
    if small.mode == "RGBA":
        paper = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(paper, small)
    return small.convert("RGB")


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _normalise(picture: Image.Image, settings: PictureSettings) -> NDArray[np.float32]:
    mean, std = np.array(settings.mean, np.float32), np.array(settings.std, np.float32)
    pixels: NDArray[np.float32] = (np.asarray(picture, dtype=np.float32) - mean) / std  # (S, S, 3)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))  # (3, S, S)


class _Quiet:
    """Keeps Pillow's own warnings from the user while any thread is inside.

    ``warnings.catch_warnings`` alone is not safe here: of two threads that overlap, the one that
    leaves last would put the silence back for good. So the first in sets it, the last out ends it.
    """

    def __init__(self) -> None:
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


_PILLOW_QUIET = _Quiet()


# --- cache -------------------------------------------------------------------------------------------


class FeatureCache:
    """Features of pictures on disk, one file a picture, found by the content of the picture.

    Any number of processes may share a folder: a file is written beside its place and then renamed.
    A file that cannot be read, or holds what is no number, counts as absent and is deleted.

    Args:
        folder: where the files lie; made where it is absent.
        fingerprint: everything the features depend on besides the picture (weights, sizes,
            normalisation); another fingerprint never finds the same files.

    Raises:
        DataError: where the folder cannot be made.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder / hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        with self._trouble(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> NDArray[np.float16] | None:
        """Features stored under a content hash, in the shape they were put; None where there are none."""
        path = self._path(key)
        try:
            array: object = np.load(path, allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, MemoryError):  # half a file
            array = None
        if isinstance(array, np.ndarray) and array.dtype == np.float16 and np.isfinite(array).all():
            return array
        path.unlink(missing_ok=True)
        return None

    def put(self, key: str, array: NDArray[np.floating]) -> None:
        """Store features under a content hash, as float16 (values beyond ±65504 are cut to that).

        Raises:
            DataError: where the file cannot be written, or an encoder gave features that are no numbers.
        """
        path = self._path(key)
        if not np.isfinite(array).all():
            raise DataError(
                "features of a picture are no numbers (NaN or infinite)",
                where=str(path),
                do="the picture encoder is damaged: get its weights again",
            )
        with self._trouble(path):
            path.parent.mkdir(exist_ok=True)
            _write_whole(path, np.clip(array, -65504, 65504).astype(np.float16))

    def _path(self, key: str) -> Path:
        if not key.isalnum():
            raise ValueError(f"a content hash is letters and digits, not {key!r}")
        return self._folder / key[:2] / f"{key}.npy"

    @staticmethod
    @contextlib.contextmanager
    def _trouble(path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"the cache of picture features cannot be written: {error.strerror}",
                where=str(path),
                do="give another folder, or free some space",
            ) from error


def _write_whole(path: Path, array: NDArray[np.float16]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, array, allow_pickle=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
