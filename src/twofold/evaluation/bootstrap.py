"""Bootstrap intervals that resample posts, not predictions.

The predictions of one post are not independent (one text, one picture), so posts are resampled with
replacement and their predictions with them (cluster bootstrap, Davison & Hinkley 1997, §3.8). A statistic
gets a resample as weights: how often each post was drawn.

This module does not know what is measured. `paired_bootstrap` compares two methods on the same posts.

Shape letters: S predictions, P posts, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.paired_bootstrap import resample_weights

Floats = NDArray[np.float64]
Statistics = Callable[[Floats], Mapping[str, float]]
"""Metrics by name, from the weight of each post (P,), whole numbers from 0 whose sum is P."""

RESAMPLES, LEVEL = 1000, 0.95


class Interval(NamedTuple):
    """A metric with its bootstrap interval.

    Attributes:
        value: the metric on the posts themselves.
        low: lower bound. high: upper bound. Both nan where there was too little to resample.
    """

    value: float
    low: float
    high: float


def bootstrap_metrics(
    statistics: Statistics, posts: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Floats]:
    """Each metric on R resamples of posts, (R,); nan where a resample holds nothing to measure.

    Args:
        statistics: see `Statistics`.
        posts: P, including posts without predictions.
        resamples: R.
        seed: seed of the resamples; equal seeds give equal resamples.
    """
    weights = (w for group in resample_weights(posts, resamples, seed) for w in group) if posts else ()
    rows = [statistics(w) for w in weights]
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def percentile_interval(value: float, resampled: Floats, level: float = LEVEL) -> Interval:
    """Percentile interval: for metrics whose expectation does not depend on the number of posts."""
    return Interval(value, *_quantiles(resampled, level))


def reflected_interval(value: float, resampled: Floats, level: float = LEVEL) -> Interval:
    """Basic bootstrap interval, clipped to [0, 1]: for expected calibration errors.

    A calibration error is a sum of absolute gaps, noise included: biased upwards on any sample, and more so
    on resamples of it. The percentile interval would have that bias twice; reflection at the value removes
    part of it (basic bootstrap, Davison & Hinkley 1997, §5.2). Where the true error is close to 0 the
    interval is still too high: compare the value with `calibration_error_if_calibrated`.
    """
    low, high = _quantiles(resampled, level)
    reflected = np.clip([2 * value - high, max(value, 2 * value - low)], 0.0, 1.0)  # nan stays nan
    return Interval(value, float(reflected[0]), float(reflected[1]))


def _quantiles(resampled: Floats, level: float) -> tuple[float, float]:
    resampled = resampled[np.isfinite(resampled)]
    if not len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
