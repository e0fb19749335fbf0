"""Texts that two corpora share, despite different preprocessing.

Corpora split tokens, mask users and links, or cut links off, each in its own way; texts are compared after
all of this is removed. It does not know which of two corpora a text belongs to.
"""

from __future__ import annotations

import hashlib
import re

Digest = bytes

_URL = r"https?\s?:\s?/\s?/\s?\S+|www\.\S+|\b(?:t|pic)\.(?:co|twitter\.com)/\w+|\bURL\d*\b|\bHTTPURL\b"
_REMOVED = re.compile(rf"{_URL}|(?:\brt\s+)?@\s?\w+\s?:?|[^\w\s]|_", re.IGNORECASE)


def normalised(text: str) -> str:
    """Letters and digits of a text in lower case; no URLs, mentions, retweet headers, marks, white space."""
    return "".join(_REMOVED.sub(" ", text).casefold().split())


def text_digest(text: str) -> Digest | None:
    """Digest (16 bytes) of the normalised text; None if it is empty."""
    kept = normalised(text)
    return hashlib.blake2b(kept.encode("utf-8", "surrogatepass"), digest_size=16).digest() if kept else None
