"""Output place of a model folder: checked, and reserved against other runs, before the work.

A folder that holds something else than a model is never replaced. Of a symbolic link, the folder it leads
to is replaced. It does not know what a model folder holds.
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
"""What a disk says of a file that cannot be written."""


@contextmanager
def reserved(out: Path) -> Iterator[Path]:
    """Keep a place while the block runs.

    Args:
        out: where the folder shall be; the folders above it are made.

    Yields:
        The place, links resolved.

    Raises:
        ModelError: something that is not a model is there.
        DataError: another run writes it, or nothing can be written there; also whatever the disk refuses
            while the block runs.
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
    """Complain where something that is not a model folder is there.

    Args:
        place: where a model folder shall be.
        finished: the folder that was to go there, where it is made already.

    Raises:
        ModelError: there is.
    """
    if not place.exists() or (place.is_dir() and ((place / MANIFEST).is_file() or not any(place.iterdir()))):
        return
    made = f"; the finished model is in {finished}" if finished else ""
    raise ModelError(
        "the place is taken by something that is not a model folder",
        where=str(place),
        do=f"choose another folder{made}",
    )


@contextmanager
def part_of(place: Path) -> Iterator[Path]:
    """Name of a folder beside a reserved place, on the same file system; it is gone after the block."""
    part = place.with_name(f".{place.name[:100]}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _cannot_write(error: OSError, out: Path) -> DataError:
    reason, file = _first(error)
    return DataError(
        f"cannot be written: {reason}",
        where=str(file or out),
        expected="a folder that may be written to, with room for a model",
    )


def _first(error: OSError) -> tuple[str, str | None]:
    """Reason and file of an error; of those of many copies, of the first."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, file, reason = error.args[0][0]
        return str(reason), str(file)
    name = error.filename
    return error.strerror or str(error), None if name is None else os.fsdecode(name)
