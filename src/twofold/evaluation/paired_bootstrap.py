"""Paired bootstrap over posts: is one method better than another on the same posts?

Both methods are scored on the same resamples of posts, drawn with replacement, so that hard posts are
hard for both. Several runs (seeds) of a method are averaged on every resample: the question is whether the
difference would hold on other posts, not on other seeds. This module knows counts only, not posts or models.

After Efron & Tibshirani (1993); for F1, Koehn (2004) and Berg-Kirkpatrick et al. (2012).

Shapes: N posts, S runs, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
"""(S, 3, N): correct, predicted and gold of each post in each run."""

RESAMPLES = 10_000
METHOD = (
    "paired bootstrap over posts; micro-F1 averaged over seeds on each resample; percentile interval; "
    "two-sided p, twice the smaller part of resamples on either side of 0"
)
_AT_ONCE = 500  # resamples drawn together, to bound memory


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours minus theirs, F1 in [0, 1].

    Attributes:
        value: difference on the posts themselves.
        low: lower bound of the interval. high: upper bound.
        p: two-sided p-value, in (0, 1]; never below 2 / (R + 1).
    """

    value: float
    low: float
    high: float
    p: float


def compare(
    ours: Counts, theirs: Counts, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> Difference:
    """Compare two methods on the same N posts.

    Args:
        ours: (S, 3, N) of one method. theirs: (S', 3, N) of the other, posts in the same order.
        resamples: R.
        seed: seed of the resamples; the same seed gives the same resamples for any pair of methods.
        level: level of the interval.
    """
    once = np.ones((1, ours.shape[2]))
    observed = _difference(ours, theirs, once)[0]
    resampled = [_difference(ours, theirs, w) for w in resample_weights(ours.shape[2], resamples, seed)]
    return summarise(float(observed), np.concatenate(resampled), level)


def summarise(observed: float, resampled: Floats, level: float = 0.95) -> Difference:
    """Interval and p-value from differences (R,) on resamples."""
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    smaller = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    p = min(1.0, 2 * (smaller + 1) / (len(resampled) + 1))
    return Difference(observed, float(low), float(high), p)


def resample_weights(posts: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each post is drawn in each resample, (≤ R, N) at a time; rows sum to N."""
    random = np.random.default_rng(seed)
    for begin in range(0, resamples, _AT_ONCE):
        rows = min(_AT_ONCE, resamples - begin)
        picked = random.integers(0, posts, (rows, posts)) + posts * np.arange(rows)[:, None]
        yield np.bincount(picked.ravel(), minlength=rows * posts).reshape(rows, posts).astype(np.float64)


def mean_f1(counts: Counts, weights: Floats) -> Floats:
    """Micro-F1 averaged over runs, (R,).

    Args:
        counts: (S, 3, N).
        weights: (R, N) how often each post counts.
    """
    correct, predicted, gold = np.moveaxis(counts @ weights.T, 1, 0)  # (S, R) each
    total = predicted + gold
    f1: Floats = (2 * correct / np.maximum(total, 1)).mean(0)  # 0 without predictions and gold
    return f1


def _difference(ours: Counts, theirs: Counts, weights: Floats) -> Floats:
    return mean_f1(ours, weights) - mean_f1(theirs, weights)
