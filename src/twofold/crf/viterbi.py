"""Viterbi: the most probable tag sequence of each post.

Shape letters: B posts, W words, K tags, n posts still running.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twofold.crf.batches import Integers, Mask, TimeMajor, time_major
from twofold.crf.parameters import CrfParameters


def viterbi(parameters: CrfParameters, emissions: NDArray[np.floating], mask: Mask) -> Integers:
    """Most probable valid tag sequence of each post.

    Args:
        parameters: of the CRF.
        emissions: (B, W, K).
        mask: (B, W) True where a word is real; real words come first.

    Returns:
        (B, W) tag indices, −1 where masked. Ties go to the lower index.
    """
    batch = time_major(emissions, mask)
    last, pointers = _forward(parameters, batch)
    tags = np.full(mask.shape, -1, np.int64)
    tags[batch.order] = _backtrack(last, pointers, batch.running).T
    return tags


def _forward(parameters: CrfParameters, batch: TimeMajor) -> tuple[Integers, NDArray[np.int16]]:
    """Best last tag (B,) of each post, and the best tag before each tag (W, B, K)."""
    scores = batch.emissions
    pointers = np.zeros(scores.shape, np.int16)
    into = np.ascontiguousarray(parameters.transitions.T)  # (to, from)
    total = parameters.start + (scores[0] if len(scores) else np.zeros(scores.shape[1:]))
    for t in range(1, len(scores)):
        n = batch.running[t]
        paths = total[:n, None, :] + into  # (n, to, from)
        pointers[t, :n] = paths.argmax(2)
        total[:n] = paths.max(2) + scores[t, :n]
    return (total + parameters.end).argmax(1), pointers


def _backtrack(last: Integers, pointers: NDArray[np.int16], running: list[int]) -> Integers:
    """Tags (W, B) from the pointers; −1 past the end of a post."""
    words, posts, _ = pointers.shape
    tags = np.full((words, posts), -1, np.int64)
    rows = np.arange(posts)
    for t in range(words - 1, -1, -1):
        n, later = running[t], running[t + 1] if t + 1 < words else 0
        tags[t, later:n] = last[later:n]
        if later:
            tags[t, :later] = pointers[t + 1, rows[:later], tags[t + 1, :later]]
    return tags
