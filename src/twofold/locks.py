"""Advisory locks: of two runs that would write to one place, the second is refused at once.

A lock goes with its process, however that ends, so that nothing is left to clear away. Where the file
system knows no locks, as some network file systems do not, nobody is refused.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twofold.errors import DataError

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_FAR = 0x7FFFFFF0
"""The byte that stands for the whole file on Windows, where a locked byte cannot be read by others."""


def in_use(place: Path) -> DataError:
    """What to say to the second run."""
    return DataError(
        "another run is writing there",
        where=str(place),
        expected="a place of its own for each run",
        do="wait until the other run has ended, or choose another place",
    )


def take(handle: int) -> bool:
    """Take the lock of an open file without waiting; False where another holds it."""
    try:
        _take(handle)
    except OSError as error:
        return error.errno not in _HELD
    return True


def open_locked(path: Path) -> int:
    """Open a file to write, made where it is absent and not yet emptied, and take its lock.

    Raises:
        DataError: another run holds the lock.
        OSError: the file cannot be opened. A symbolic link in its place is not followed.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        try:
            handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
        except ValueError as error:
            raise OSError(errno.EINVAL, "no file can have such a name") from error
        if not take(handle):
            os.close(handle)
            raise in_use(path)
        if _lies_at(handle, path):
            return handle
        os.close(handle)  # whoever held the lock has moved the file to its place; it is not ours


@contextmanager
def lock_place(place: Path) -> Iterator[None]:
    """Keep other runs from writing a file or folder while the block runs; the folder above it must exist.

    Raises:
        DataError: another run holds it, or nothing can be written beside it.
    """
    path = place.parent / f".{place.name[:100]}.lock"
    try:
        handle = open_locked(path)
    except DataError as error:
        raise in_use(place) from error
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}",
            where=str(place),
            expected="a place in a folder that may be written to",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _lies_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
