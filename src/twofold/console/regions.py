"""Regions found in the pictures of posts, as lines of text."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twofold.console.text import printable, report_some
from twofold.posts import Rejected

_SHOWN = 20
_EVERY_S = 5.0


def every_few_seconds() -> Callable[[str], None]:
    """Prints a message on stderr unless the last one was printed just before."""
    last = time.monotonic()

    def log(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            print(printable(f"twofold: {line}"), file=sys.stderr)

    return log


def show_regions(
    out: Path,
    *,
    posts: int,
    regions: int,
    pictures: int,
    unreadable: Sequence[str],
    rejected: Sequence[Rejected],
) -> None:
    """Print how many regions were found, and what could not be read.

    Args:
        out: the file that was written.
        posts: in it.
        regions: of all pictures.
        pictures: different ones that a detector was given.
        unreadable: pictures that could not be read, and why.
        rejected: records that could not become posts.
    """
    if posts:
        print(
            printable(
                f"{posts} posts written to {out}: {regions} regions, {pictures} distinct pictures processed"
            )
        )
    else:
        print(printable(f"twofold: no post to write; {out} was left as it was"), file=sys.stderr)
    report_some("unreadable picture", unreadable, _SHOWN)
    report_some("rejected", [f"{item.origin}: {item.reason}" for item in rejected], _SHOWN)
