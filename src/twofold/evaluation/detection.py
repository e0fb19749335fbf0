"""How well a score tells two kinds apart: errors from right predictions, foreign posts from one's own.

AUROC, AUPR (average precision) and FPR95, as scikit-learn defines them; equal scores are one threshold.
Weights say how often an item counts. It does not know what the score is.

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

FOUND = 0.95
"""Part of the positives that FPR95 must find."""


class Detection(NamedTuple):
    """How well positives (errors, foreign posts) get the larger scores.

    Attributes:
        auroc: chance that a positive scores above a negative, equal scores counting half; 0.5 is none.
        aupr: average precision with the positives as what is sought; their part is what chance gives.
        fpr95: part of the negatives that must be flagged as well to flag 95 % of the positives.
        positives: how many. negatives: how many. Without either, the figures are nan.
    """

    auroc: float
    aupr: float
    fpr95: float
    positives: float
    negatives: float


def detect(score: Floats, positive: Flags, weights: Weights = None) -> Detection:
    """Measure a score.

    Args:
        score: (N,) larger for what should be positive.
        positive: (N,) True for those that are.
        weights: (N,) how often each counts; None for once.
    """
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    _, group = np.unique(-score, return_inverse=True)  # the largest score first
    tp = np.append(0.0, np.cumsum(np.bincount(group, weight * positive, minlength=0)))
    fp = np.append(0.0, np.cumsum(np.bincount(group, weight * ~positive, minlength=0)))
    if not tp[-1] or not fp[-1]:
        return Detection(math.nan, math.nan, math.nan, float(tp[-1]), float(fp[-1]))
    gained = np.diff(tp)
    auroc = np.sum(np.diff(fp) * (tp[1:] + tp[:-1]) / 2) / (tp[-1] * fp[-1])
    flagged = tp + fp
    aupr = np.sum(gained[gained > 0] * (tp[1:] / np.maximum(flagged[1:], 1e-300))[gained > 0]) / tp[-1]
    enough = np.searchsorted(tp, FOUND * tp[-1] * (1 - 1e-12))
    return Detection(float(auroc), float(aupr), float(fp[enough] / fp[-1]), float(tp[-1]), float(fp[-1]))


def separation(inside: Floats, outside: Floats) -> Detection:
    """How well an uncertainty tells other data (the positives) from the data a model was made for.

    Args:
        inside: one value for each item of the model's own domain.
        outside: one value for each item of another.
    """
    score = np.concatenate([inside, outside])
    return detect(score, np.arange(len(score)) >= len(inside))
