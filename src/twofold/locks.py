"""Advisory locks: if two runs would write to the same path, the second is refused at once.

A lock is released when its process ends, however it ends, so no stale lock remains. On a file system without
locks, such as some network file systems, no run is refused.
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
_LOCKED_BYTE = 0x7FFFFFF0
"""Position of the byte locked on Windows in place of the whole file: others cannot read a locked byte."""


def in_use(place: Path) -> DataError:
    """The error for the second run."""
    return DataError(
        "another run is writing there",
        where=str(place),
        expected="a separate path for each run",
        do="wait until the other run has ended, or choose another path",
    )


def take(handle: int) -> bool:
    """Take the lock of an open file without waiting; False if another run holds it."""
    try:
        _take(handle)
    except OSError as error:
        return error.errno not in _HELD
    return True


def open_locked(path: Path) -> int:
    """Open a file for writing, created if absent but not truncated, and take its lock.

    Raises:
        DataError: another run holds the lock.
        OSError: the file cannot be opened. A symbolic link is not followed.
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
        if _is_same_file(handle, path):
            return handle
        os.close(handle)  # the run that held the lock has renamed the file: it is not ours


@contextmanager
def lock_place(place: Path) -> Iterator[None]:
    """Keep other runs from writing a file or folder while the block runs; the folder above it must exist.

    Raises:
        DataError: another run holds the lock, or the lock file cannot be written.
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
            expected="a path in a writable folder",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
