"""Posts of different lengths in padded batches, and in the time-major order that the algorithms run in.

Shape letters: B posts, W words, K tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MAX_WORDS = 1 << 16  # of a batch, padding included


class TimeMajor(NamedTuple):
    """Emissions by word, then by post, the longest posts first: a step touches only posts still running.

    Attributes:
        emissions: (W, B, K) float64.
        order: (B,) index of each post before sorting.
        lengths: (B,) words of each post, in descending order.
        running: (W,) number of posts that have a word at this time step.
    """

    emissions: Floats
    order: Integers
    lengths: Integers
    running: list[int]


def time_major(emissions: NDArray[np.floating], mask: Mask) -> TimeMajor:
    """Sort a batch by length, and put time first.

    Args:
        emissions: (B, W, K).
        mask: (B, W) True where a word is real; real words come first.
    """
    lengths = mask.sum(1)
    order = np.argsort(-lengths, kind="stable")
    counts = np.bincount(lengths, minlength=emissions.shape[1] + 1)
    running = (len(lengths) - np.cumsum(counts)[: emissions.shape[1]]).tolist()
    by_time = emissions[order].transpose(1, 0, 2).astype(np.float64, order="C")
    return TimeMajor(by_time, order, lengths[order], running)


def padded_batches(emissions: Sequence[NDArray[np.floating]]) -> Iterator[tuple[list[int], Floats, Mask]]:
    """Batches of posts of similar length: their indices, emissions (B, W, K) and mask (B, W).

    Posts without words are left out.

    Args:
        emissions: (W, K) of each post.
    """
    order = sorted((i for i, x in enumerate(emissions) if len(x)), key=lambda i: len(emissions[i]))
    batch: list[int] = []
    for i in order:
        if batch and len(emissions[i]) * (len(batch) + 1) > _MAX_WORDS:
            yield batch, *_padded([emissions[b] for b in batch])
            batch = []
        batch.append(i)
    if batch:
        yield batch, *_padded([emissions[b] for b in batch])


def _padded(emissions: Sequence[NDArray[np.floating]]) -> tuple[Floats, Mask]:
    lengths = np.array([len(x) for x in emissions])
    padded = np.zeros((len(emissions), int(lengths.max()), emissions[0].shape[1]))
    for row, values in zip(padded, emissions, strict=True):
        row[: len(values)] = values
    return padded, np.arange(padded.shape[1]) < lengths[:, None]
