"""One segmentation into words, for tokenized corpora and for raw posts alike.

A word is a URL, a maximal run of letters, digits and underscores, or one punctuation mark or symbol. Handles
of other networks are a mark and one word, too: ``@name.bsky.social`` and ``@name@server.org`` after their
``@``, and ``u/name`` and ``r/place`` after ``u/`` and ``r/``, which are read as ``@`` and ``#``. Because no
word depends on white space beside a mark, a corpus whose tokens were split ("# Paris", "I ' m") and
the post as it was typed ("#Paris", "I'm") give the same words: training and inference see the same words.

It does not know languages: scripts written without spaces give one word per character for Han and
Kana (as in BERT's basic tokenizer), and one word per run otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from twofold.posts import Post

Span = tuple[int, int]
"""(start, end) in code points."""

_URL = re.compile(r"(?:https?://|www\.)[^\s\"'“”‘’<>]*|\b(?:t|pic)\.(?:co|twitter\.com)/\w+", re.IGNORECASE)
_HANDLE = re.compile(
    r"(?<![\w@.])@(?P<server>[\w.-]*\w@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,})\b"
    r"|(?<![\w@.])@(?P<domain>[\w-]+(?:\.[\w-]+)*\.(?:social|com|org|net|dev|app|gov|edu))\b"
    r"|(?<![\w/.])(?P<kind>/?[ur]/)(?P<name>\w[\w-]{1,20})(?![\w/])"
)
_SPACE, _MARK, _LETTER, _IGNORED = range(4)

WORD_SHAPES = (
    "none", "url", "mark", "#", "@", "digits", "lower", "Capital", "X", "UPPER", "mixed",
    "digits+lower", "digits+upper", "digits+mixed", "other",
)  # fmt: skip
"""Shapes of a word; the model embeds the position in this list, 0 is padding."""
_CACHED_LENGTH = 40
"""Longest word whose shape is cached: memory must not grow with hostile input."""
_MARKS = {"u/": "@", "/u/": "@", "r/": "#", "/r/": "#"}
CONTEXTS = ("plain", "after #", "after @", "after mark", "first")
"""What precedes a word."""
_SHAPE_NUMBERS = {shape: number for number, shape in enumerate(WORD_SHAPES)}
_CONTEXT_NUMBERS = {context: number for number, context in enumerate(CONTEXTS)}
CASE_FEATURE_COUNT = len(WORD_SHAPES) * len(CONTEXTS)


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> int:
    if character.isspace():
        return _SPACE
    category = unicodedata.category(character)
    if character == "_":
        return _LETTER
    if category[0] in "PS" or _is_ideograph(ord(character)):
        return _MARK
    if category in ("Cc", "Cf", "Cs", "Co", "Cn") or character == "\N{VARIATION SELECTOR-16}":
        return _IGNORED
    return _LETTER


def _is_ideograph(code: int) -> bool:
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000


def segment(text: str) -> list[Span]:
    """Split a text into words.

    Args:
        text: of a post.

    Control, zero-width and bidirectional characters are never words: inside a run of letters they are
    part of it, elsewhere they are skipped.

    Returns:
        Spans in order, never empty, never overlapping.
    """
    if text.isascii() and text.isalnum():  # most tokens of a corpus
        return [(0, len(text))]
    words: list[Span] = []
    position = 0
    for url in _URL.finditer(text):
        _handles(text, position, url.start(), words)
        words.append(url.span())
        position = url.end()
    _handles(text, position, len(text), words)
    return words


def _handles(text: str, start: int, end: int, words: list[Span]) -> None:
    if "@" in text or "/" in text:
        for handle in _HANDLE.finditer(text, start, end):
            _runs(text, start, handle.start(), words)
            border = handle.end("kind") if handle["kind"] else handle.start() + 1
            words += [(handle.start(), border), (border, handle.end())]
            start = handle.end()
    _runs(text, start, end, words)


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
    """Words of a post, see `segment`; where it has tokens, no word crosses the border of a token."""
    if post.tokens is None:
        return segment(post.text)
    return [
        (start + a, start + b)
        for start, end in post.tokens
        for a, b in segment(post.text[start:end])
    ]  # fmt: skip


def surface(text: str) -> str:
    """The surface form that the text encoder reads: the same for all URLs, without invisible characters.

    That of a handle is the name without the server; that of its mark is the ``@`` or ``#`` it is read as.
    """
    if len(text) > 3:
        if _URL.match(text):
            return "http"
        if ("." in text or "@" in text) and _HANDLE.fullmatch("@" + text):
            return re.split(r"[.@]", text.lstrip("."), maxsplit=1)[0]
    if text in _MARKS:
        return _MARKS[text]
    if text.isascii():
        return text
    return "".join(c for c in text if _kind(c) != _IGNORED)


def case_features(text: str, words: Sequence[Span]) -> list[int]:
    """Case features of each word, one number: its shape, and what precedes it.

    Args:
        text: of the post.
        words: of the text.

    Returns:
        For each word ``shape * len(CONTEXTS) + context``. White space has no influence, for the reason given
        at the top.
    """
    numbers: list[int] = []
    before = "first"
    for start, end in words:
        word = text[start:end]
        shape = _shape(word) if len(word) <= _CACHED_LENGTH else _shape.__wrapped__(word)
        numbers.append(_SHAPE_NUMBERS[shape] * len(CONTEXTS) + _CONTEXT_NUMBERS[before])
        before = f"after {shape}" if shape in ("#", "@", "mark") else "plain"
    return numbers


@lru_cache(maxsize=1 << 16)
def _shape(word: str) -> str:
    if word in ("#", "@"):
        return word
    if word in _MARKS:
        return _MARKS[word]
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
