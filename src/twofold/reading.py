"""Opening files for reading: a file that is endless, or would block its reader, raises an error.

A path may be a mistake or come from an untrusted source. Nothing is read from a pipe, a device, or a system
file that waits for new data (``/proc/kmsg``). This module knows nothing of the content.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path

_SPECIAL = "it is a pipe, a device or a system file, whose content has no end"


def open_file(path: Path) -> BufferedReader:
    """Open a regular file, or the null device, which is empty.

    Raises:
        OSError: it cannot be opened, or is of another kind.
    """
    try:
        found = path.stat()
    except ValueError as error:
        raise OSError(errno.EINVAL, "no file can have such a name") from error
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(found.st_mode) and Path(os.path.realpath(path)) != Path(os.devnull):
        raise OSError(errno.EINVAL, _SPECIAL)  # opening it would block
    handle = os.open(
        path,
        os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0),
    )
    try:
        _check_content(handle)
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _check_content(handle: int) -> None:
    """Refuse a file that reports size 0 and yet has content, as system files do."""
    if os.fstat(handle).st_size:
        return
    try:
        first_byte = os.read(handle, 1)
    except BlockingIOError as error:
        raise OSError(errno.EINVAL, _SPECIAL) from error
    if first_byte and not os.fstat(handle).st_size:
        raise OSError(errno.EINVAL, _SPECIAL)
    if first_byte:  # the file was written in the meantime
        os.lseek(handle, 0, os.SEEK_SET)


def real_path(path: Path | str) -> Path:
    """The path with symbolic links resolved; circular links as far as possible."""
    return Path(os.path.realpath(path))


def read_bytes(path: Path) -> bytes:
    """Content of a file; errors as in `open_file`."""
    with open_file(path) as stream:
        return stream.read()


def read_text(path: Path) -> str:
    """Content of a file in UTF-8, with line feeds only; errors as in `open_file`."""
    return read_bytes(path).decode("utf-8").replace("\r\n", "\n")


def not_json(error: Exception) -> str:
    """Why a text is not valid JSON, from the error of decoding or parsing it."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return "not JSON that can be read: a number has too many digits"


def not_utf8(error: UnicodeDecodeError) -> str:
    """Why bytes are not valid UTF-8."""
    return f"not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"
