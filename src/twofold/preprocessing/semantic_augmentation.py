"""Semantic augmentation: for each word, the weighted mean of its nearest neighbours, stored with a model.

System B, after the original implementation: a_w = Σ softmax(s)_j e_j over the four words j nearest to w by
cosine s, without the word itself, e_j their vectors, not normalised. (It uses gensim's `most_similar`, which
excludes the word; a word without a vector gets a random one there, none here.) The vocabulary is that of
the word vectors, never that of a corpus.

A model folder stores the means of all words as 8-bit rows with one scale each. It does not know fusions.

Shape letters: N words of the vocabulary, V width, B windows, W words of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from twofold.errors import DataError, ModelError
from twofold.posts import Post
from twofold.preprocessing.segmentation import segment, segment_post
from twofold.preprocessing.word_pieces import Window, pad, surfaces
from twofold.preprocessing.word_vectors import Vectors

Floats = NDArray[np.float32]

MODALITY = "neighbours"
"""Name of the modality: one element per word."""
FILES = ("neighbours.safetensors", "neighbours.txt")
COUNT = 4
_MAX_SIMILARITIES = 1 << 23  # in memory at once


def nearest(states: Floats, count: int = COUNT) -> tuple[NDArray[np.int64], Floats]:
    """The nearest neighbours of each word by cosine similarity, without the word itself.

    Args:
        states: (N, V).
        count: number of neighbours; fewer where there are fewer other words.

    Returns:
        Their indices (N, count) and cosines (N, count), the nearest first.
    """
    count = min(count, len(states) - 1)
    unit = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
    numbers, cosines = np.empty((len(states), count), np.int64), np.empty((len(states), count), np.float32)
    step = max(1, _MAX_SIMILARITIES // len(states))
    for lo in range(0, len(states), step):
        block = slice(lo, min(lo + step, len(states)))
        similarity = unit[block] @ unit.T
        np.fill_diagonal(similarity[:, lo:], -np.inf)
        best = np.argpartition(similarity, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(similarity, best, 1), axis=1, kind="stable")
        numbers[block] = np.take_along_axis(best, order, 1)
        cosines[block] = np.take_along_axis(similarity, numbers[block], 1)
    return numbers, cosines


def augmentation(states: Floats) -> Floats:
    """a_w of each word, (N, V), from vectors (N, V) of at least two words."""
    numbers, cosines = nearest(states)
    weights = np.exp(cosines - cosines.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    total = np.zeros_like(states)
    for column, weight in zip(numbers.T, weights.T, strict=True):
        total += weight[:, None] * states[column]
    return total


class Neighbours:
    """Weighted means of the nearest neighbours, by word.

    Args:
        words: N distinct words.
        rows: (N, V) in 8 bits.
        scales: (N, 1) factor of each row.
    """

    def __init__(self, words: Sequence[str], rows: NDArray[np.int8], scales: Floats) -> None:
        self.words, self._rows, self._scales = tuple(words), rows, scales
        self._number = {word: i for i, word in enumerate(self.words)}
        self._lower = all(word == word.lower() for word in self.words)

    @property
    def width(self) -> int:
        """V."""
        return int(self._rows.shape[1])

    @classmethod
    def of(cls, vectors: Vectors, where: str) -> Neighbours:
        """Find the neighbours of all words, and keep the means of words that segmentation can produce.

        Raises:
            DataError: too few words.
        """
        words = vectors.words  # "new_york" is a phrase of word2vec, and would be a user name in a post
        usable = [i for i, w in enumerate(words) if segment(w) == [(0, len(w))] and "_" not in w]
        if len(vectors.words) < 2 or not usable:
            raise DataError(
                f"{len(vectors.words)} words, of which {len(usable)} can occur in posts",
                where=where,
                expected="a vocabulary",
            )
        means = augmentation(vectors.states)[usable]
        scales = np.maximum(np.abs(means).max(1, keepdims=True), 1e-12) / np.float32(127)
        rows = np.rint(means / scales).astype(np.int8)
        return cls([vectors.words[i] for i in usable], rows, scales)

    def rows_of(self, words: Sequence[str]) -> list[int]:
        """Row of each word, −1 for none; words are lower-cased where the whole vocabulary is."""
        forms = (word.lower() for word in words) if self._lower else words
        return [self._number.get(word, -1) for word in forms]

    def of_posts(self, posts: Sequence[Post]) -> list[NDArray[np.int64] | None]:
        """Rows of the words of each post that have one; None for a post without any."""
        found = [self.rows_of(surfaces(post.text, segment_post(post))) for post in posts]
        return [
            np.array([i for i in rows if i >= 0]) if max(rows, default=-1) >= 0 else None for rows in found
        ]

    def of_windows(self, windows: Sequence[Window]) -> tuple[Floats, NDArray[np.bool_]]:
        """States (B, W, V) and mask (B, W) of the words of windows."""
        rows, _ = pad([self.rows_of(window.surfaces) for window in windows], -1)
        return self.states(np.maximum(rows, 0)).astype(np.float32), rows >= 0

    def states(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Means (…, V) of rows (…), none of which is −1."""
        return (self._rows[rows] * self._scales[rows]).astype(np.float16)

    def save(self, folder: Path) -> None:
        """Write both `FILES`."""
        save_file({"rows": self._rows, "scales": self._scales}, folder / FILES[0])
        (folder / FILES[1]).write_text("".join(f"{w}\n" for w in self.words), encoding="utf-8", newline="\n")

    @classmethod
    def open(cls, states: Path, words: Path) -> Neighbours:
        """Read both `FILES`.

        Raises:
            ModelError: they are missing or damaged, or do not match.
        """
        try:
            arrays = load_file(states)
            vocabulary = words.read_text(encoding="utf-8").split("\n")[:-1]
            rows, scales = arrays["rows"], arrays["scales"]
        except (OSError, SafetensorError, KeyError, UnicodeDecodeError) as error:
            raise ModelError(f"the neighbours cannot be read: {error}", where=str(states)) from error
        count = len(vocabulary)
        if rows.dtype != np.int8 or rows.shape[:1] != (count,) or scales.shape != (count, 1):
            raise ModelError(f"it does not fit {words.name}", where=str(states))
        return cls(vocabulary, rows, scales)
