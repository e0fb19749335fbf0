"""Prints the result of a conversion."""

from __future__ import annotations

import sys
from pathlib import Path

from twofold.console.text import counted, printable, report_some
from twofold.corpora.convert import Conversion

_SHOWN = 5


def show_conversion(result: Conversion, target: Path, to: str) -> None:
    """Print how many posts were written, and what was lost; ``to`` is the format of ``target``."""
    if result.written:
        written = f"{result.written} {'post' if result.written == 1 else 'posts'} written to {target}"
        print(printable(written))
    else:
        print(printable(f"twofold: no post to write; {target} was left as it was"), file=sys.stderr)
    if result.without_picture:
        posts = counted(result.without_picture, "post")
        named = f"{posts} with a picture whose folder is unknown"
        print(printable(f"{named}: give --images DIR here, or when {target.name} is read"), file=sys.stderr)
    if result.outside:
        named = f"{counted(result.outside, 'post')} with a picture outside the folder of {target.name}"
        print(
            printable(f"{named}: write the file beside the pictures, or read it with --allow-outside"),
            file=sys.stderr,
        )
    for what, count in sorted(result.losses.items()):
        print(printable(f"not kept in {to}: {what} ({count})"), file=sys.stderr)
    report_some("cannot be written", result.unsupported, _SHOWN)
    report_some("rejected", [f"{item.origin}: {item.reason}" for item in result.rejected], _SHOWN)
