"""Detection metrics of a score: how well it separates errors from right predictions, or OOD from in-domain.

AUROC, AUPR (average precision) and FPR95, as scikit-learn defines them; equal scores share one threshold.
Weights say how often an item counts. This module does not know what the score is.

Shape letters: N items, G distinct scores.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Weights = NDArray[np.floating] | NDArray[np.integer] | None

TARGET_TPR = 0.95
"""True-positive rate of FPR95."""


class DetectionMetrics(NamedTuple):
    """How well a score ranks positives (errors, OOD posts) above negatives.

    Attributes:
        auroc: probability that a positive scores above a negative, equal scores counting half; 0.5 is random.
        aupr: average precision for the positives; a random score has their base rate.
        fpr95: false-positive rate at a true-positive rate of 95 %.
        positives: number of positives. negatives: of negatives. Where either is 0, the metrics are nan.
    """

    auroc: float
    aupr: float
    fpr95: float
    positives: float
    negatives: float


def detection_metrics(score: Floats, positive: Flags, weights: Weights = None) -> DetectionMetrics:
    """Compute all detection metrics.

    Args:
        score: (N,) larger for items that should be positive.
        positive: (N,) True for the positives.
        weights: (N,) how often each counts; None for once.
    """
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    _, group = np.unique(-score, return_inverse=True)  # the largest score first
    tp = np.append(0.0, np.cumsum(np.bincount(group, weight * positive, minlength=0)))
    fp = np.append(0.0, np.cumsum(np.bincount(group, weight * ~positive, minlength=0)))
    if not tp[-1] or not fp[-1]:
        return DetectionMetrics(math.nan, math.nan, math.nan, float(tp[-1]), float(fp[-1]))
    gained = np.diff(tp)
    auroc = np.sum(np.diff(fp) * (tp[1:] + tp[:-1]) / 2) / (tp[-1] * fp[-1])
    flagged = tp + fp
    aupr = np.sum(gained[gained > 0] * (tp[1:] / np.maximum(flagged[1:], 1e-300))[gained > 0]) / tp[-1]
    at_target = np.searchsorted(tp, TARGET_TPR * tp[-1] * (1 - 1e-12))
    return DetectionMetrics(
        float(auroc), float(aupr), float(fp[at_target] / fp[-1]), float(tp[-1]), float(fp[-1])
    )
