"""HTML of untrusted text: escaped, with invisible characters that affect the page replaced by their names.

Control characters would break the page (NUL), bidirectional overrides would reorder the words around them,
and a lone surrogate cannot be written to a file at all: each is shown by its name instead. Thousands of
combining marks on one letter, or of empty lines, would cover the page: a few are shown, the rest counted.
Characters that ordinary writing needs (joiners, marks and isolates of right-to-left text) are kept: the page
isolates every text, so that their effect ends with the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from markupsafe import Markup, escape

MARK_LIMIT = 8
"""Combining marks in a row that are shown; no script puts so many on one letter."""
LINE_LIMIT = 3
"""Line breaks in a row that are shown."""
_SHORT_NAMES = {"\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO"}
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff\ufffe\uffff]"
    rf"|(?:[\n\u2028\u2029][ \t]*){{{LINE_LIMIT + 1},}}"
)
_JOINERS = "\u200c\u200d"


def safe_html(text: object) -> Markup:
    """HTML of a text in which no character affects the page, with a note for each omission."""
    return Markup("").join(_parts(str(text)))


def _parts(text: str) -> Iterator[Markup]:
    position = 0
    for match in _UNSEEN.finditer(text):
        yield from _limit_marks(text[position : match.start()])
        yield _named(match.group()) if len(match.group()) == 1 else _counted_lines(match.group())
        position = match.end()
    yield from _limit_marks(text[position:])


def _limit_marks(text: str) -> Iterator[Markup]:
    """The text, with at most `MARK_LIMIT` marks in a row."""
    if text.isascii():
        yield escape(text)
        return
    start = run = 0  # start of the text not yet yielded; marks in a row before the current character
    for i, character in enumerate(text):
        if not _is_mark(character):
            if run > MARK_LIMIT:
                yield from _shortened(text[start:i], run)
                start = i
            run = 0
        else:
            run += 1
    if run > MARK_LIMIT:
        yield from _shortened(text[start:], run)
    else:
        yield escape(text[start:])


def _is_mark(character: str) -> bool:
    return character >= "\u0300" and (
        unicodedata.category(character) in ("Mn", "Me") or character in _JOINERS
    )


def _shortened(text: str, run: int) -> Iterator[Markup]:
    """A text that ends with ``run`` marks: the first few are kept, the others counted."""
    hidden = run - MARK_LIMIT
    yield escape(text[:-hidden])
    yield _note(f"{hidden:,} combining marks, not shown", f"+{hidden:,} marks")


def _counted_lines(text: str) -> Markup:
    hidden = len(re.findall("[\n\u2028\u2029]", text)) - LINE_LIMIT + 1
    return _note(f"{hidden:,} line breaks, not shown", f"+{hidden:,} line breaks") + Markup(
        "\n" * (LINE_LIMIT - 1)
    )


def _named(character: str) -> Markup:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "control character").lower()
    return _note(f"{code} {name}", _SHORT_NAMES.get(character, code))


def _note(title: str, label: str) -> Markup:
    return Markup('<span class="unseen" title="{}">{}</span>').format(title, label)


def text_direction(text: str) -> str:
    """``rtl`` or ``ltr`` by the first letter that has a direction, as a browser would choose."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def shorten(text: object, limit: int) -> str:
    """The beginning of a text, with an ellipsis if it was cut."""
    text = str(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
