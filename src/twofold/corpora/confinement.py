"""Confine the pictures that posts name to one folder, since a data file may be untrusted.

A path that leads out of the folder, by an absolute path, ``..`` or a symbolic link, is never opened; the post
keeps its text, and its picture counts as unreadable. It does not open pictures.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from twofold.errors import DataError
from twofold.posts import Post, RefusedPicture, Rejected

ALLOW = (
    "give its folder with --images (in Python images=), or allow it with --allow-outside "
    "(in Python allow_outside=True)"
)
"""What to do about a picture outside the folder, on the command line and in Python."""


def confined(items: Iterable[Post | Rejected], folder: Path) -> Iterator[Post | Rejected]:
    """The same posts, with a `RefusedPicture` in place of each path that leads out of the folder.

    Args:
        items: as a reader yields them; rejected records are passed on unchanged.
        folder: where pictures may lie.
    """
    inside = _real(folder)
    for item in items:
        image = item.image if isinstance(item, Post) else None
        if isinstance(item, Post) and isinstance(image, Path) and not _inside(image, inside):
            yield dataclasses.replace(item, image=RefusedPicture(image, _reason(folder), ALLOW))
        else:
            yield item


def check_table_inside(table: Path, folder: Path) -> None:
    """Check that a table in a folder is not a link out of it.

    Raises:
        DataError: it is.
    """
    if os.path.lexists(table) and not lies_in(table, folder):
        raise DataError(
            "the table is a link out of the folder",
            where=str(table),
            expected="a file in the folder",
            do="copy it there, or allow it with --allow-outside (in Python allow_outside=True)",
        )


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, links resolved."""
    return _inside(path, _real(folder))


def _reason(folder: Path) -> str:
    return f"its path leads out of the folder {str(folder)!r}, so it was not opened"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _inside(path: Path, inside: Path) -> bool:
    if path.is_absolute() and path.drive != inside.drive:  # do not contact another machine
        return False
    try:
        return _real(path).is_relative_to(inside)
    except (OSError, ValueError):
        return True  # not a possible path: opening it raises the error
