"""One segmentation into words, for tokenized corpora and for raw posts alike.

A word is a URL, a maximal run of letters and digits, or one punctuation mark or symbol. Because no
word depends on white space beside a mark, a corpus whose tokens were split ("# Paris", "I ' m") and
the post as it was typed ("#Paris", "I'm") give the same words: training and inference see the same words.

It does not know languages: scripts written without spaces give one word per character for Han and
Kana (as in BERT's basic tokenizer), and one word per run otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from twofold.posts import Post

Span = tuple[int, int]
"""(start, end) in code points."""

_URL = re.compile(r"(?:https?://|www\.)[^\s\"'“”‘’<>]*|\b(?:t|pic)\.(?:co|twitter\.com)/\w+", re.IGNORECASE)
_SPACE, _MARK, _LETTER, _IGNORED = range(4)

WORD_SHAPES = (
    "none", "url", "mark", "#", "@", "digits", "lower", "Capital", "X", "UPPER", "mixed",
    "digits+lower", "digits+upper", "digits+mixed", "other",
)  # fmt: skip
"""Shapes of a word; the model embeds the position in this list, 0 is padding."""
_CACHED_LENGTH = 40
"""Longest word whose shape is cached: memory must not grow with hostile input."""
CONTEXTS = ("plain", "after #", "after @", "after mark", "first")
"""What precedes a word."""
CASE_FEATURE_COUNT = 2 * len(WORD_SHAPES) * len(CONTEXTS)


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> int:
    if character.isspace():
        return _SPACE
    category = unicodedata.category(character)
    if category[0] in "PS" or _is_ideograph(ord(character)):
        return _MARK
    if category in ("Cc", "Cf", "Cs", "Co", "Cn") or character == "\N{VARIATION SELECTOR-16}":
        return _IGNORED
    return _LETTER


def _is_ideograph(code: int) -> bool:
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000


def segment(text: str) -> list[Span]:
    """Split a text into words.

    Control, zero-width and bidirectional characters belong to no word of their own: inside a run of
    letters they stay with it, elsewhere they are skipped.

    Returns:
        Spans in order, never empty, never overlapping.
    """
    words: list[Span] = []
    position = 0
    for url in _URL.finditer(text):
        _runs(text, position, url.start(), words)
        words.append(url.span())
        position = url.end()
    _runs(text, position, len(text), words)
    return words


def _runs(text: str, start: int, end: int, words: list[Span]) -> None:
    begin, last = -1, -1  # of the current run of letters
    for i in range(start, end):
        kind = _kind(text[i])
        if kind == _LETTER:
            begin = i if begin < 0 else begin
            last = i
        elif kind != _IGNORED:
            if begin >= 0:
                words.append((begin, last + 1))
                begin = -1
            if kind == _MARK:
                words.append((i, i + 1))
    if begin >= 0:
        words.append((begin, last + 1))


def segment_post(post: Post) -> list[Span]:
    """Words of a post; where it has tokens, no word crosses the border of a token."""
    if post.tokens is None:
        return segment(post.text)
    return [
        (start + a, start + b)
        for start, end in post.tokens
        for a, b in segment(post.text[start:end])
    ]  # fmt: skip


def surface(text: str) -> str:
    """The surface form that the text encoder reads: the same for all URLs, without invisible characters."""
    if len(text) > 3 and _URL.match(text):
        return "http"
    if text.isascii():
        return text
    return "".join(c for c in text if _kind(c) != _IGNORED)


def case_features(text: str, words: list[Span]) -> list[int]:
    """Case features of each word, one number: its shape, what precedes it, whether the text has a link.

    Returns:
        For each word ``shape * len(CONTEXTS) + context``, and half of CASE_FEATURE_COUNT more where the
        text has a URL: posts with links are written and annotated in another way than posts without.
        White space has no influence, for the reason given at the top.
    """
    with_link = CASE_FEATURE_COUNT // 2 if _URL.search(text) else 0
    numbers: list[int] = []
    before = "first"
    for start, end in words:
        word = text[start:end]
        shape = _shape(word) if len(word) <= _CACHED_LENGTH else _shape.__wrapped__(word)
        numbers.append(with_link + WORD_SHAPES.index(shape) * len(CONTEXTS) + CONTEXTS.index(before))
        before = f"after {shape}" if shape in ("#", "@", "mark") else "plain"
    return numbers


@lru_cache(maxsize=1 << 16)
def _shape(word: str) -> str:
    if word in ("#", "@"):
        return word
    if len(word) > 3 and _URL.match(word):
        return "url"
    if _kind(word[0]) == _MARK:
        return "mark"
    letters = [c for c in word if c.isalpha()]
    case = _case(letters)
    if len(letters) == len(word) or not any(c.isdigit() for c in word):
        return case
    if not letters:
        return "digits"
    return {"lower": "digits+lower", "UPPER": "digits+upper", "X": "digits+upper"}.get(case, "digits+mixed")


def _case(letters: list[str]) -> str:
    upper = sum(c.isupper() for c in letters)
    if not letters or not any(c.isupper() or c.islower() for c in letters):
        return "other"
    if upper == 0:
        return "lower"
    if upper == len(letters):
        return "X" if upper == 1 else "UPPER"
    return "Capital" if upper == 1 and letters[0].isupper() else "mixed"
