"""Isotonic calibration: the rising step function of the confidence that fits what was right best.

Pool-adjacent-violators (Ayer et al. 1955; for calibration Zadrozny & Elkan 2002), read between its steps by
straight lines, as scikit-learn's IsotonicRegression does. It can mend any rising distortion, needs
more data than a temperature (about a thousand predictions), and makes neighbours equal.

It does not know where confidences come from.

Shape letters: S predictions, J corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.errors import DataError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Isotonic:
    """A fitted map of confidences.

    Attributes:
        confidence: (J,) rising. calibrated: (J,) what each becomes; never falls.
    """

    confidence: Floats
    calibrated: Floats

    def __call__(self, confidences: Floats) -> Floats:
        """Calibrated confidences (…) of confidences (…)."""
        return np.interp(confidences, self.confidence, self.calibrated)


def fit_isotonic(confidences: Floats, right: Flags) -> Isotonic:
    """Fit by least squares.

    Args:
        confidences: (S,) in [0, 1].
        right: (S,) True where the prediction is right.

    Raises:
        DataError: there is no prediction to fit on.
    """
    if not len(right):
        raise DataError(
            "the model predicted nothing on the data for calibration",
            expected="data on which it finds entities",
            do="use more or other held-out data",
        )
    values, group = np.unique(confidences, return_inverse=True)
    counts = np.bincount(group)
    levels = _rising(np.bincount(group, right) / counts, counts.astype(np.float64))
    corner = np.ones(len(values), bool)  # inside a block, neither end of it: the line passes there anyway
    corner[1:-1] = (levels[1:-1] != levels[:-2]) | (levels[1:-1] != levels[2:])
    return Isotonic(values[corner], levels[corner])


def _rising(means: Floats, weights: Floats) -> Floats:
    """The closest sequence that never falls: neighbours in the wrong order become their mean."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for mean, weight in zip(means.tolist(), weights.tolist(), strict=True):
        length = 1
        while blocks and blocks[-1][0] >= mean:
            before, heavy, long = blocks.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight, length = heavy + weight, length + long
        blocks.append((mean, weight, length))
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])
