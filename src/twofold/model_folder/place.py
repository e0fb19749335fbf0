"""The output path of a model folder: checked, and locked against other runs, before the work.

A folder that holds something other than a model is never replaced. If the path is a symbolic link, its target
is replaced. It does not know what a model folder holds.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twofold.errors import DataError, ModelError
from twofold.locks import lock_place

MANIFEST = "manifest.json"
"""The file that every finished model folder holds."""
_REFUSED = {
    errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM,
    errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip
"""Errors of a file system that cannot write a file."""


@contextmanager
def reserved(out: Path) -> Iterator[Path]:
    """Reserve an output path while the block runs.

    Args:
        out: path of the folder to write; its parent folders are created.

    Yields:
        The path, links resolved.

    Raises:
        ModelError: something that is not a model is there.
        DataError: another run writes there, or nothing can be written there; also if the file system
            refuses to write while the block runs.
    """
    place = Path(os.path.realpath(out))
    check_place(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with lock_place(place):
            yield place
    except OSError as error:
        if error.errno in _REFUSED or isinstance(error, shutil.Error):
            raise _cannot_write(error, out) from error
        raise


def check_place(place: Path, finished: Path | None = None) -> None:
    """Check that a path is free, empty or a model folder.

    Args:
        place: path of a model folder to write.
        finished: the finished folder that was to be moved there, if any; for the message.

    Raises:
        ModelError: something that is not a model folder is there.
    """
    if not place.exists() or (place.is_dir() and ((place / MANIFEST).is_file() or not any(place.iterdir()))):
        return
    hint = f"; the finished model is in {finished}" if finished else ""
    raise ModelError(
        "the place is taken by something that is not a model folder",
        where=str(place),
        do=f"choose another folder{hint}",
    )


@contextmanager
def staging_folder(place: Path) -> Iterator[Path]:
    """Path of a temporary folder beside a reserved path, on the same file system; removed after the block."""
    staging = place.with_name(f".{place.name[:100]}.part")
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _cannot_write(error: OSError, out: Path) -> DataError:
    reason, file = _reason_and_file(error)
    return DataError(
        f"cannot be written: {reason}",
        where=str(file or out),
        expected="a folder that may be written to, with room for a model",
    )


def _reason_and_file(error: OSError) -> tuple[str, str | None]:
    """Reason and file of an error; the first of several when a tree is copied."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, file, reason = error.args[0][0]
        return str(reason), str(file)
    name = error.filename
    return error.strerror or str(error), None if name is None else os.fsdecode(name)
