"""Offsets of JavaScript, which counts in UTF-16 units, and of Python, which counts in code points.

A character beyond U+FFFF (most emoji) is one code point and two units.
"""

from __future__ import annotations

from itertools import accumulate


def to_utf16(text: str, offset: int) -> int:
    """Units before the code point ``offset`` of a text."""
    return offset + sum(character > "\uffff" for character in text[:offset])


def from_utf16(text: str, offset: int) -> int | None:
    """The code point that a unit begins; None for one inside a character or beyond the text."""
    ends = accumulate((1 + (character > "\uffff") for character in text), initial=0)
    return next((i for i, units in enumerate(ends) if units == offset), None)
