"""Text for a terminal: what comes from elsewhere made safe to print, and counts in words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """A text from elsewhere without what a terminal would obey: those characters as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\u200d" else ascii(c)[1:-1] for c in text)


def counted(count: int, word: str) -> str:
    """Say "1 post", "2 posts", "2 entities"."""
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{count:,} {word if count == 1 else plural}"


def report_some(what: str, entries: Sequence[str], shown: int) -> None:
    """Print the first entries of a list on stderr, each after what it is, and how many more there are."""
    for entry in entries[:shown]:
        print(printable(f"{what}: {entry}"), file=sys.stderr)
    if len(entries) > shown:
        print(printable(f"{what}: {len(entries) - shown} more"), file=sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines that may hold names from data or a model folder; a line may have several of its own."""
    for line in lines:
        for part in line.split("\n"):
            print(printable(part))
