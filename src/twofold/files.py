"""Files written whole or not at all.

A temporary sibling is written and renamed at the end, so that whoever looks sees the old file or the
new one, never half of it. It does not guard against two writers of one file: the last one wins.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from twofold.errors import DataError


@contextmanager
def write_whole(path: Path, keep: Callable[[], bool] = lambda: True) -> Iterator[BinaryIO]:
    """A binary stream that becomes ``path`` when the block ends well, and vanishes when it does not.

    Args:
        path: the file; one that is there is replaced.
        keep: asked at the end; False to leave everything as it was.

    Raises:
        DataError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as stream:
            yield stream
        if keep():
            temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        _remove(temporary)


def _remove(temporary: Path) -> None:
    with suppress(OSError):  # it was renamed, or never made
        temporary.unlink()


def _cannot_write(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or str(error)
    return DataError(
        f"cannot be written: {reason}", where=str(path), expected="a file in a folder that may be written to"
    )
