"""Isotonic calibration: the non-decreasing function of the confidence that fits the accuracy best.

Pool-adjacent-violators (Ayer et al. 1955; for calibration Zadrozny & Elkan 2002), interpolated linearly, as
scikit-learn's IsotonicRegression does. It corrects any monotone distortion, needs more data than a
temperature (about a thousand predictions), and makes neighbouring confidences equal.

This module does not know where confidences come from.

Shape letters: S predictions, J knots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.temperature import require_predictions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A fitted calibration map.

    Attributes:
        confidence: (J,) knots, increasing. calibrated: (J,) values at the knots, non-decreasing.
    """

    confidence: Floats
    calibrated: Floats

    def __call__(self, confidences: Floats) -> Floats:
        """Calibrated confidences (…) of confidences (…)."""
        return np.interp(confidences, self.confidence, self.calibrated)


def apply_isotonic(probabilities: Floats, predicted: Sequence[int] | Integers, isotonic: Isotonic) -> None:
    """Map the probability of the predicted classes in place, and rescale the others so that rows sum to 1.

    Args:
        probabilities: (S, C), rows sum to 1.
        predicted: (S,) index of the predicted class.
        isotonic: the map.
    """
    at = np.arange(len(probabilities)), np.asarray(predicted, np.int64)
    before = probabilities[at]
    after = isotonic(before)
    scale = np.where(before < 1, (1 - after) / np.maximum(1 - before, 1e-300), 0.0)
    probabilities *= scale[:, None]
    probabilities[at] = after


def fit_isotonic(confidences: Floats, right: Flags) -> Isotonic:
    """Fit an isotonic map by least squares.

    Args:
        confidences: (S,) in [0, 1].
        right: (S,) True where the prediction is right.

    Raises:
        DataError: there is no prediction to fit on.
    """
    require_predictions(right)
    knots, group = np.unique(confidences, return_inverse=True)
    counts = np.bincount(group)
    values = _non_decreasing(np.bincount(group, right) / counts, counts.astype(np.float64))
    kept = np.ones(len(knots), bool)  # knots inside a constant block are redundant
    kept[1:-1] = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
    return Isotonic(knots[kept], values[kept])


def _non_decreasing(means: Floats, weights: Floats) -> Floats:
    """The closest non-decreasing sequence: adjacent values in the wrong order are replaced by their mean."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for mean, weight in zip(means.tolist(), weights.tolist(), strict=True):
        length = 1
        while blocks and blocks[-1][0] >= mean:
            last_mean, last_weight, last_length = blocks.pop()
            mean = (last_mean * last_weight + mean * weight) / (last_weight + weight)
            weight, length = last_weight + weight, length + last_length
        blocks.append((mean, weight, length))
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])
