"""What a conversion came to, as lines of text."""

from __future__ import annotations

import sys
from pathlib import Path

from twofold.console.text import printable, report_some
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
        named = f"{result.without_picture} of them name a picture whose folder was not given"
        print(printable(f"{named}: give --images DIR here, or where {target.name} is read"), file=sys.stderr)
    if result.outside:
        named = f"{result.outside} of them name a picture outside the folder of {target.name}"
        print(
            printable(f"{named}: write it beside the pictures, or read it with --allow-outside"),
            file=sys.stderr,
        )
    for what, count in sorted(result.losses.items()):
        print(printable(f"not held by {to}: {what} ({count})"), file=sys.stderr)
    report_some("cannot be held", result.unsupported, _SHOWN)
    report_some("rejected", [f"{item.origin}: {item.reason}" for item in result.rejected], _SHOWN)
