"""Opens files of pictures safely: any error is a `PictureError` that gives the reason.

Pictures are untrusted input: folders, devices, pipes and huge files are refused. It does not decode.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from twofold.errors import PictureError
from twofold.posts import Image as Source
from twofold.posts import RefusedPicture
from twofold.reading import open_file

EXPECTED = "a JPEG, PNG, GIF, WebP, AVIF, BMP or TIFF picture"
"""What a picture should be, for messages."""
MAX_BYTES = 1 << 29
"""A larger file is refused before it is read."""


def content_hash(image: Source) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits; the same for a file and for its bytes.

    Raises:
        PictureError: where the file cannot be read.
    """
    with picture_stream(image) as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_bytes(image: Source) -> bytes:
    """The bytes of the file.

    Raises:
        PictureError: where it cannot be read.
    """
    with picture_stream(image) as stream:
        return stream.read()


def describe_picture(image: Source) -> str:
    """Path or size of a picture, for messages."""
    if isinstance(image, bytes):
        return f"picture of {len(image)} bytes"
    name = str(image.path if isinstance(image, RefusedPicture) else image)
    return name if name.isprintable() else ascii(name)


@contextlib.contextmanager
def picture_stream(image: Source) -> Iterator[BinaryIO]:
    """The file's bytes as a stream.

    Raises:
        PictureError: for any error in opening or reading them, in the block too.
    """
    where = describe_picture(image)
    if isinstance(image, RefusedPicture):
        raise PictureError(image.reason, where=where, do=image.do)
    try:
        with io.BytesIO(image) if isinstance(image, bytes) else _open_file(image) as stream:
            if not stream.read(1):
                raise PictureError("the picture is empty (0 bytes)", where=where, expected=EXPECTED)
            stream.seek(0)
            yield stream
    except (OSError, ValueError, MemoryError) as error:
        raise PictureError(_file_error(error), where=where, expected=EXPECTED) from error


def _open_file(path: Path) -> BinaryIO:
    stream = open_file(path)
    size = os.fstat(stream.fileno()).st_size
    if size > MAX_BYTES:
        stream.close()
        raise ValueError(f"it has {size:,} bytes, more than the limit of {MAX_BYTES:,}")
    return stream


def _file_error(error: OSError | ValueError | MemoryError) -> str:
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
