"""Texts that two corpora have in common, whatever was done to them in between.

Corpora split tokens, mask users and links, or cut links off, each in its own way; what is left when all this
is removed is compared. It does not know which of two corpora a text belongs to.
"""

from __future__ import annotations

import hashlib
import re

Digest = bytes

_URL = r"https?\s?:\s?/\s?/\s?\S+|www\.\S+|\b(?:t|pic)\.(?:co|twitter\.com)/\w+|\bURL\d*\b|\bHTTPURL\b"
_LEFT_OUT = re.compile(rf"{_URL}|(?:\brt\s+)?@\s?\w+\s?:?|[^\w\s]|_", re.IGNORECASE)


def normalised(text: str) -> str:
    """Letters and digits of a text in lower case; no URLs, mentions, retweet headers, marks, white space."""
    return "".join(_LEFT_OUT.sub(" ", text).casefold().split())


def text_digest(text: str) -> Digest | None:
    """16 bytes that stand for the normalised text; None where nothing is left of it."""
    left = normalised(text)
    return hashlib.blake2b(left.encode("utf-8", "surrogatepass"), digest_size=16).digest() if left else None
