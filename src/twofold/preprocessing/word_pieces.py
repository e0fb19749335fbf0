"""From words to the word pieces a text encoder reads, in windows where a post is long.

Training and inference both come through here. A window is a stretch of words with some context on
either side; only the emissions of its core are kept, so the windows of a post tile it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from twofold.preprocessing.segmentation import Span, shapes, surface

MAX_WORD_PIECES = 16
"""Pieces of one word beyond these are dropped: a tagger reads the first piece of a word."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a post as the encoder reads it.

    Attributes:
        ids: word pieces with the encoder's special pieces round them.
        first: position in ``ids`` of the first piece of each word ``lo … hi``.
        shapes: case shape of each of these words.
        lo: first word read. hi: one past the last.
        keep_lo: first word whose emissions count. keep_hi: one past the last.
        surfaces: each of these words as the encoder reads it, for sources with a state a word; "" where
            something else than a word of the post stands.
    """

    ids: list[int]
    first: list[int]
    shapes: list[int]
    lo: int
    hi: int
    keep_lo: int
    keep_hi: int
    surfaces: tuple[str, ...] = ()


class Pieces:
    """A fast tokenizer together with the limits of the encoder it feeds.

    Args:
        tokenizer: path of a ``tokenizer.json``, or the tokenizer itself.
        window_pieces: longest input of the encoder, special pieces included.
        context_words: words of context a window carries on either side of its core.
        pad_id: piece that fills short rows of a batch.
    """

    def __init__(
        self, tokenizer: Path | Tokenizer, window_pieces: int = 256, context_words: int = 32, pad_id: int = 0
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
        self._longest = max(1, min(MAX_WORD_PIECES, self.budget // 2))  # a word fits beside its context
        self.context_words, self.pad_id = context_words, pad_id

    def _unknown_id(self, fallback: int) -> int:
        """Piece of a word that has none: an invisible one, or one the tokenizer drops."""
        names = (getattr(self.tokenizer.model, "unk_token", None), "<unk>", "[UNK]")
        numbers = (self.tokenizer.token_to_id(name) for name in names if name)
        return next((number for number in numbers if number is not None), fallback)

    def word_pieces(self, text: str, words: Sequence[Span]) -> list[list[int]]:
        """Pieces of each word: at least one, at most `MAX_WORD_PIECES`."""
        return self._encoded(surfaces(text, words))

    def _encoded(self, written: list[str]) -> list[list[int]]:
        pieces: list[list[int]] = [[] for _ in written]
        if not written:
            return pieces
        encoding = self.tokenizer.encode(written, is_pretokenized=True, add_special_tokens=False)
        for piece, word in zip(encoding.ids, encoding.word_ids, strict=True):
            if word is not None and len(pieces[word]) < self._longest:
                pieces[word].append(piece)
        return [row or [self._unknown] for row in pieces]

    def windows(self, text: str, words: Sequence[Span]) -> list[Window]:
        """Windows whose cores tile the words; none where there is no word."""
        written = surfaces(text, words)
        pieces = self._encoded(written)
        forms = shapes(text, list(words))
        ends = np.cumsum([0, *map(len, pieces)])
        windows: list[Window] = []
        keep_lo = 0
        while keep_lo < len(words):
            lo, hi, keep_hi = self._stretch(ends, keep_lo)
            ids, first = self.joined(pieces[lo:hi])
            spelt = tuple(written[lo:hi])
            windows.append(Window(ids, first, forms[lo:hi], lo, hi, keep_lo, keep_hi, spelt))
            keep_lo = keep_hi
        return windows

    def _stretch(self, ends: NDArray[np.int64], keep_lo: int) -> tuple[int, int, int]:
        """Words read (lo, hi) and the end of the core, for a core that starts at ``keep_lo``."""
        count, quarter = len(ends) - 1, self.budget // 4
        lo = max(0, keep_lo - self.context_words, int(np.searchsorted(ends, ends[keep_lo] - quarter)))
        hi = int(np.searchsorted(ends, ends[lo] + self.budget, side="right")) - 1
        if hi >= count:
            return lo, count, count
        context = max(hi - self.context_words, int(np.searchsorted(ends, ends[hi] - quarter)))
        return lo, hi, max(keep_lo + 1, context)

    def joined(self, rows: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        """Rows of pieces one after the other, with the special pieces round them; where each begins."""
        ids, first = list(self._prefix), []
        for row in rows:
            first.append(len(ids))
            ids.extend(row)
        return [*ids, *self._suffix], first

    def plain(self, text: str) -> list[int]:
        """Pieces of a text read whole (alt text), special pieces included, cut to one window."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.budget]
        return self.joined([ids])[0]


def surfaces(text: str, words: Sequence[Span]) -> list[str]:
    """Words as the text encoder reads them; see `surface`."""
    return [surface(text[start:end]) for start, end in words]


def pad(rows: Sequence[Sequence[int]], value: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fill short rows.

    Returns:
        values (B, T) and mask (B, T), 1 where something real is.
    """
    width = max(map(len, rows), default=0)
    values = np.full((len(rows), width), value, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        values[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return values, mask
