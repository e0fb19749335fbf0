"""Text for a terminal: escapes untrusted text, and writes counts with their nouns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """An untrusted text with control characters as escapes, so that it cannot control the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\u200d" else ascii(c)[1:-1] for c in text)


def counted(count: int, word: str) -> str:
    """A count with its noun: "1 post", "2 posts", "2 entities"."""
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{count:,} {word if count == 1 else plural}"


def report_some(what: str, entries: Sequence[str], shown: int) -> None:
    """Print the first entries of a list on stderr, each after a label, and how many more there are."""
    for entry in entries[:shown]:
        print(printable(f"{what}: {entry}"), file=sys.stderr)
    if len(entries) > shown:
        print(printable(f"{what}: {len(entries) - shown} more"), file=sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines with names from data or a model folder, escaped; a line may itself contain line feeds."""
    for line in lines:
        for part in line.split("\n"):
            print(printable(part))
