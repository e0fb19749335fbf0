"""Prints the result of detecting regions in the pictures of posts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twofold.console.text import counted, printable, report_some
from twofold.posts import Rejected

_SHOWN = 20
_EVERY_S = 5.0


def every_few_seconds() -> Callable[[str], None]:
    """A function that prints messages on stderr, at most one every few seconds."""
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
        posts: number of posts in it.
        regions: number of regions in all pictures.
        pictures: number of distinct pictures that were processed.
        unreadable: pictures that could not be read, and why.
        rejected: records that could not become posts.
    """
    if posts:
        print(
            printable(
                f"{counted(posts, 'post')} written to {out}: {counted(regions, 'region')}, "
                f"{counted(pictures, 'distinct picture')} processed"
            )
        )
    else:
        print(printable(f"twofold: no post to write; {out} was left as it was"), file=sys.stderr)
    report_some("unreadable picture", unreadable, _SHOWN)
    report_some("rejected", [f"{item.origin}: {item.reason}" for item in rejected], _SHOWN)
