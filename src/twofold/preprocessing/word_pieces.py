"""Splits words into the word pieces of a text encoder, in windows where a post is long.

Training and inference share it. A window is a stretch of words with some context on either side; only the
emissions of its core are kept, so the cores of a post's windows tile it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from twofold.preprocessing.segmentation import Span, case_features, surface

MAX_WORD_PIECES = 16
"""Pieces of one word beyond these are dropped: a tagger reads the first piece of a word."""
_CACHED_TEXTS, _CACHED_LENGTH = 1024, 1000
"""Number of texts whose windows are cached, and their maximum length; hostile input must not fill memory."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a post as the encoder reads it.

    Attributes:
        ids: word pieces, between the encoder's special tokens.
        first: position in ``ids`` of the first piece of each word from ``start`` to ``end``.
        case_features: of each of these words, see `twofold.preprocessing.segmentation.case_features`.
        start: first word. end: one past the last.
        core_start: first word whose emissions are kept. core_end: one past the last.
        surfaces: surface form of each of these words, for modalities with a state for each word; "" for an
            entity marker.
    """

    ids: list[int]
    first: list[int]
    case_features: list[int]
    start: int
    end: int
    core_start: int
    core_end: int
    surfaces: tuple[str, ...] = ()


class WindowTokenizer:
    """A fast tokenizer with the input length of its encoder.

    Args:
        tokenizer: path of a ``tokenizer.json``, or the tokenizer itself.
        window_pieces: longest input of the encoder, special tokens included.
        context_words: words of context on either side of a window's core.
        pad_id: piece that pads short rows of a batch.
    """

    def __init__(
        self,
        tokenizer: Path | Tokenizer,
        window_pieces: int = 256,
        context_words: int = 32,
        pad_id: int = 0,
    ) -> None:
        self.tokenizer = (
            tokenizer if isinstance(tokenizer, Tokenizer) else Tokenizer.from_file(str(tokenizer))
        )
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        probe = self.tokenizer.encode("a")
        letters = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
        self._prefix, self._suffix = probe.ids[: letters[0]], probe.ids[letters[-1] + 1 :]
        self._unknown = self._unknown_id(pad_id)
        self.budget = window_pieces - len(self._prefix) - len(self._suffix)
        self._longest = max(1, min(MAX_WORD_PIECES, self.budget // 2))  # so that a word and its context fit
        self.context_words, self.pad_id = context_words, pad_id
        # The relation model reads the windows of the posts that the tagger has just read.
        self._cached = lru_cache(_CACHED_TEXTS)(self._windows)

    def _unknown_id(self, fallback: int) -> int:
        """Piece for a word without pieces, such as an invisible one or one that the tokenizer drops."""
        names = (getattr(self.tokenizer.model, "unk_token", None), "<unk>", "[UNK]")
        numbers = (self.tokenizer.token_to_id(name) for name in names if name)
        return next((number for number in numbers if number is not None), fallback)

    def word_pieces(self, text: str, words: Sequence[Span]) -> list[list[int]]:
        """Pieces of each word: at least one, at most `MAX_WORD_PIECES`."""
        return self._tokenized(surfaces(text, words))

    def _tokenized(self, surface_forms: list[str]) -> list[list[int]]:
        pieces: list[list[int]] = [[] for _ in surface_forms]
        if not surface_forms:
            return pieces
        encoding = self.tokenizer.encode(surface_forms, is_pretokenized=True, add_special_tokens=False)
        for piece, word in zip(encoding.ids, encoding.word_ids, strict=True):
            if word is not None and len(pieces[word]) < self._longest:
                pieces[word].append(piece)
        return [row or [self._unknown] for row in pieces]

    def may_cut(self, text: str) -> bool:
        """False where a text surely fits into a window: each piece has at least a byte, or begins a word."""
        words = [_bytes(word) for word in text.split()]
        return sum(words) + 2 * len(words) > self.budget

    def piece_count(self, text: str) -> int:
        """Pieces of a whole text, special tokens excluded, not truncated."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def windows(self, text: str, words: Sequence[Span]) -> list[Window]:
        """Windows whose cores tile the words; none where there is no word."""
        if len(text) > _CACHED_LENGTH:
            return self._windows(text, words)
        return list(self._cached(text, tuple(words)))

    def _windows(self, text: str, words: Sequence[Span]) -> list[Window]:
        surface_forms = surfaces(text, words)
        pieces = self._tokenized(surface_forms)
        features = case_features(text, words)
        ends = np.cumsum([0, *map(len, pieces)])
        windows: list[Window] = []
        core_start = 0
        while core_start < len(words):
            start, end, core_end = self._window_words(ends, core_start)
            ids, first = self.with_special_tokens(pieces[start:end])
            forms = tuple(surface_forms[start:end])
            windows.append(Window(ids, first, features[start:end], start, end, core_start, core_end, forms))
            core_start = core_end
        return windows

    def _window_words(self, ends: NDArray[np.int64], core_start: int) -> tuple[int, int, int]:
        """First word and end of a window, and the end of its core, given the start of its core."""
        count, quarter = len(ends) - 1, self.budget // 4
        start = max(
            0, core_start - self.context_words, int(np.searchsorted(ends, ends[core_start] - quarter))
        )
        end = int(np.searchsorted(ends, ends[start] + self.budget, side="right")) - 1
        if end >= count:
            return start, count, count
        context = max(end - self.context_words, int(np.searchsorted(ends, ends[end] - quarter)))
        return start, end, max(core_start + 1, context)

    def with_special_tokens(self, rows: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        """Rows of pieces joined, between the special tokens; and the position of each row."""
        ids, first = list(self._prefix), []
        for row in rows:
            first.append(len(ids))
            ids.extend(row)
        return [*ids, *self._suffix], first

    def encode_text(self, text: str) -> list[int]:
        """Pieces of a whole text (such as an alt text), special tokens included, truncated to one window."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.budget]
        return self.with_special_tokens([ids])[0]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def surfaces(text: str, words: Sequence[Span]) -> list[str]:
    """Surface forms of words, see `surface`."""
    return [surface(text[start:end]) for start, end in words]


def pad(rows: Sequence[Sequence[int]], value: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad short rows.

    Returns:
        Values (B, T) and mask (B, T), 1 where a value is not padding.
    """
    width = max(map(len, rows), default=0)
    values = np.full((len(rows), width), value, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        values[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return values, mask
