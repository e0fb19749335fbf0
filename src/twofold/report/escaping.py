"""Text from strangers made safe to look at: escaped, and with what would act unseen written out.

Control characters would break the page (NUL), bidirectional overrides would turn the words around them,
and a lone surrogate cannot be written to a file at all. Each is shown by its name instead. Characters
that ordinary writing needs (joiners, marks and isolates of right-to-left text) stay as they are: the
page isolates every text, so that they end where it ends.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

_SHORT = {"\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO"}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff\ufffe\uffff]")


def visible(text: object) -> Markup:
    """HTML of a text that shows every code point and lets none act on the page."""
    parts, position, text = [], 0, str(text)
    for match in _UNSEEN.finditer(text):
        parts += [escape(text[position : match.start()]), _named(match.group())]
        position = match.end()
    return Markup("").join([*parts, escape(text[position:])])


def _named(character: str) -> Markup:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "control character")
    return Markup('<span class="unseen" title="{} {}">{}</span>').format(
        code, name.lower(), _SHORT.get(character, code)
    )


def direction(text: str) -> str:
    """``rtl`` or ``ltr`` by the first letter that has a direction, as a browser would choose."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def shorten(text: object, limit: int) -> str:
    """The beginning of a text, with an ellipsis where something was left out."""
    text = str(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
