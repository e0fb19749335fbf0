"""Calibration metrics of confidences: ECE and its variants, Brier score, NLL, reliability diagram.

They measure *predictions*: gold items that were missed have no confidence and are in none of these metrics,
so a model that predicts only what it is sure of looks good here. Show the number of missed items beside them.

Weights say how often a prediction counts; a weight of n has the effect of n copies (`bootstrap` uses them).
Every metric is nan where there are no predictions.

This module does not know posts, spans or models.

Shape letters: S predictions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Weights = NDArray[np.floating] | NDArray[np.integer] | None

BINS = 15
_FLOOR = 1e-12


class Bin(NamedTuple):
    """One bin of a reliability diagram.

    Attributes:
        low: lower edge, included.
        high: upper edge, excluded (included in the last bin).
        predictions: number of predictions in the bin.
        right: number of right ones among them.
        confidence: their mean confidence; nan where there are none.
        accuracy: fraction of them that is right; nan where there are none.
    """

    low: float
    high: float
    predictions: int
    right: int
    confidence: float
    accuracy: float


def calibration_error(
    confidences: Floats, right: Flags, *, weights: Weights = None, bins: int = BINS
) -> float:
    """Expected calibration error (Naeini et al. 2015): mean gap over bins of equal width.

    Args:
        confidences: (S,) in [0, 1].
        right: (S,) True where the prediction is right.
        weights: (S,) how often each counts; None for once.
        bins: number of bins.

    Returns:
        In [0, 1]: Σ over bins of |Σ (confidence − right)| / S.
    """
    gaps, mass = _gaps(confidences, right, _weights(weights, confidences), bins)
    return _ratio(np.abs(gaps).sum(), mass.sum())


def adaptive_calibration_error(
    confidences: Floats, right: Flags, *, weights: Weights = None, bins: int = BINS
) -> float:
    """The same over bins of equal mass (Nguyen & O'Connor 2015), so that no bin depends on a few predictions.

    Every bin holds exactly S / bins predictions: one on an edge is divided between both bins, and equal
    confidences share their errors evenly, so that their order does not matter. Arguments as above.
    """
    mass, gaps = _cumulative(confidences, right, _weights(weights, confidences))
    borders = np.linspace(0.0, mass[-1], bins + 1)
    return _ratio(np.abs(np.diff(np.interp(borders, mass, gaps))).sum(), mass[-1])


def maximum_calibration_error(
    confidences: Floats, right: Flags, *, weights: Weights = None, bins: int = BINS
) -> float:
    """Largest gap of any bin of equal width, however few predictions it holds. Arguments as above."""
    gaps, mass = _gaps(confidences, right, _weights(weights, confidences), bins)
    filled = mass > 0
    return float((np.abs(gaps[filled]) / mass[filled]).max()) if filled.any() else math.nan


def brier_score(confidences: Floats, right: Flags, *, weights: Weights = None) -> float:
    """Mean of (confidence − right)², in [0, 1] (Brier 1950)."""
    return _mean((confidences - right) ** 2, _weights(weights, confidences))


def negative_log_likelihood(confidences: Floats, right: Flags, *, weights: Weights = None) -> float:
    """Mean over S predictions, in nats; probabilities below 1e-12 count as 1e-12."""
    probability = np.clip(np.where(right, confidences, 1 - confidences), _FLOOR, 1.0)
    return _mean(-np.log(probability), _weights(weights, confidences))


def calibration_error_if_calibrated(confidences: Floats, *, resamples: int = 200, seed: int = 0) -> float:
    """Mean `calibration_error` of a perfectly calibrated model with these confidences.

    Labels are drawn with these confidences as their probabilities (consistency resampling, Bröcker & Smith
    2007). A measured error no larger than this is consistent with perfect calibration at this sample size.
    """
    if not len(confidences):
        return math.nan
    random = np.random.default_rng(seed)
    errors = [
        calibration_error(confidences, random.random(len(confidences)) < confidences)
        for _ in range(resamples)
    ]
    return float(np.mean(errors))


def calibration_metrics(confidences: Floats, right: Flags, weights: Weights = None) -> dict[str, float]:
    """All metrics by name, with mean confidence and accuracy. Arguments as in `calibration_error`."""
    w = _weights(weights, confidences)
    return {
        "confidence": _mean(confidences, w),
        "accuracy": _mean(right.astype(np.float64), w),
        "ece": calibration_error(confidences, right, weights=w),
        "adaptive_ece": adaptive_calibration_error(confidences, right, weights=w),
        "mce": maximum_calibration_error(confidences, right, weights=w),
        "brier": brier_score(confidences, right, weights=w),
        "nll": negative_log_likelihood(confidences, right, weights=w),
    }


def reliability(confidences: Floats, right: Flags, bins: int = BINS) -> tuple[Bin, ...]:
    """The bins of a reliability diagram, empty ones included.

    Args:
        confidences: (S,) in [0, 1].
        right: (S,) True where the prediction is right.
        bins: number of bins, of equal width.
    """
    index = _bin_indices(confidences, bins)
    count, correct = np.bincount(index, minlength=bins), np.bincount(index, right, minlength=bins)
    total = np.bincount(index, confidences, minlength=bins)
    rows = zip(count.tolist(), correct.tolist(), total.tolist(), strict=True)
    return tuple(
        Bin(i / bins, (i + 1) / bins, n, int(k), _ratio(s, n), _ratio(k, n))
        for i, (n, k, s) in enumerate(rows)
    )


def _bin_indices(confidences: Floats, bins: int) -> NDArray[np.int64]:
    return np.minimum((confidences * bins).astype(np.int64), bins - 1)


def _gaps(confidences: Floats, right: Flags, weights: Floats, bins: int) -> tuple[Floats, Floats]:
    """Sum of confidence − right, and mass, of each bin of equal width."""
    index = _bin_indices(confidences, bins)
    return _sums(index, weights * (confidences - right), bins), _sums(index, weights, bins)


def _cumulative(confidences: Floats, right: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Cumulative mass, and sum of confidence − right, at each distinct confidence; both start at 0."""
    _, group = np.unique(confidences, return_inverse=True)
    mass, gaps = (_sums(group, x, 0) for x in (weights, weights * (confidences - right)))
    return np.append(0.0, np.cumsum(mass)), np.append(0.0, np.cumsum(gaps))


def _sums(index: NDArray[np.int64], values: Floats, bins: int) -> Floats:
    return np.bincount(index, values, minlength=bins).astype(np.float64)


def _weights(weights: Weights, like: Floats) -> Floats:
    return np.ones(len(like)) if weights is None else np.asarray(weights, np.float64)


def _mean(values: Floats, weights: Floats) -> float:
    return _ratio((values * weights).sum(), weights.sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
