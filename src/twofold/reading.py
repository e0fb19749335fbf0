"""Files opened to be read: what has no end, or makes its reader wait, is an error and never opened.

A path may come from a stranger, or be a mistake: of a pipe, a device, or a file of the system that waits for
news (``/proc/kmsg``), nothing is read. It does not know what is in a file.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path

_SPECIAL = "it is a pipe, a device or a file of the system, whose content has no end"


def open_file(path: Path) -> BufferedReader:
    """Open a file on a disk, or the null device, which is empty.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    try:
        found = path.stat()
    except ValueError as error:
        raise OSError(errno.EINVAL, "no file can have such a name") from error
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(found.st_mode) and Path(os.path.realpath(path)) != Path(os.devnull):
        raise OSError(errno.EINVAL, _SPECIAL)  # opening it would wait
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
    """Refuse what says that it is empty, and is not: so are files of the system."""
    if os.fstat(handle).st_size:
        return
    try:
        begins = os.read(handle, 1)
    except BlockingIOError as error:
        raise OSError(errno.EINVAL, _SPECIAL) from error
    if begins and not os.fstat(handle).st_size:
        raise OSError(errno.EINVAL, _SPECIAL)
    if begins:  # it was written meanwhile
        os.lseek(handle, 0, os.SEEK_SET)


def real_path(path: Path | str) -> Path:
    """The path with links resolved; of links in a ring as far as they go."""
    return Path(os.path.realpath(path))


def read_bytes(path: Path) -> bytes:
    """Content of a file. Errors as of `open_file`."""
    with open_file(path) as stream:
        return stream.read()


def read_text(path: Path) -> str:
    """Content of a file in UTF-8, with line feeds only; errors as of `open_file`."""
    return read_bytes(path).decode("utf-8").replace("\r\n", "\n")


def not_json(error: Exception) -> str:
    """What is wrong with a text that should be JSON, after the error of decoding or parsing it."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return "not JSON that can be read: a number has too many digits"


def not_utf8(error: UnicodeDecodeError) -> str:
    """What is wrong with bytes that should be UTF-8."""
    return f"not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}"
