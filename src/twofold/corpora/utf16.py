"""Convert offsets in UTF-16 units (JavaScript) to offsets in code points (Python) and back.

A character beyond U+FFFF (most emoji) is one code point and two units.
"""

from __future__ import annotations

from itertools import accumulate


def to_utf16(text: str, offset: int) -> int:
    """The offset in UTF-16 units of an offset in code points."""
    return offset + sum(character > "\uffff" for character in text[:offset])


def from_utf16(text: str, offset: int) -> int | None:
    """The offset in code points of an offset in UTF-16 units; None inside a character or beyond the text."""
    unit_offsets = accumulate((1 + (character > "\uffff") for character in text), initial=0)
    return next((i for i, units in enumerate(unit_offsets) if units == offset), None)
