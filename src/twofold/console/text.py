"""Text from elsewhere made safe to print on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text from elsewhere without what a terminal would obey: those characters as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\u200d" else ascii(c)[1:-1] for c in text)
