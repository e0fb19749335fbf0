"""One temperature for the confidences, fitted on held-out predictions.

The temperature (Guo et al. 2017) divides all potentials of the CRF; which spans are predicted does not
change, only how sure they are. It is the one with the smallest negative log-likelihood of "this
predicted span is exactly right". Entities that were not predicted play no part.

It does not know posts or models: it sees confidences as a function of the temperature, and which
predictions were right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.crf import ChainDecoder, TagSpan
from twofold.errors import DataError
from twofold.evaluation.calibration_error import calibration_error, negative_log_likelihood

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LOWEST, HIGHEST = 0.1, 10.0
"""Bounds of the search."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A fitted temperature and what it changed.

    Attributes:
        temperature: in [LOWEST, HIGHEST]; above 1 makes less sure.
        predictions: number of predictions it was fitted on.
        accuracy: part of them that is right.
        nll_before: mean negative log-likelihood at temperature 1, nats a prediction.
        nll_after: the same at the fitted temperature.
        ece_before: expected calibration error at temperature 1, see `evaluation.calibration_error`.
        ece_after: the same at the fitted temperature.
    """

    temperature: float
    predictions: int
    accuracy: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit_temperature(confidences: Callable[[float], Floats], right: Flags) -> TemperatureFit:
    """Fit on any predictions.

    Args:
        confidences: gives the confidence (S,) of each prediction at a temperature.
        right: (S,) True where the prediction is right.

    Raises:
        DataError: there is no prediction to fit on.
    """
    if not len(right):
        raise DataError(
            "the model predicted nothing on the data for calibration",
            expected="data on which it finds something",
            do="use more or other held-out data",
        )

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(confidences(math.exp(log_temperature)), right)

    best = math.exp(_minimum(loss, math.log(LOWEST), math.log(HIGHEST)))
    before, after = confidences(1.0), confidences(best)
    return TemperatureFit(
        temperature=best,
        predictions=len(right),
        accuracy=float(right.mean()),
        nll_before=negative_log_likelihood(before, right),
        nll_after=negative_log_likelihood(after, right),
        ece_before=calibration_error(before, right),
        ece_after=calibration_error(after, right),
    )


def fit_on_spans(
    decoder: ChainDecoder, emissions: Sequence[NDArray[np.floating]], gold: Sequence[Collection[TagSpan]]
) -> TemperatureFit:
    """Fit on the spans that a decoder predicts.

    Args:
        decoder: the CRF.
        emissions: (W, K) a post.
        gold: the right spans of each post, in words.

    Raises:
        DataError: nothing is predicted.
    """
    spans = decoder.decode(emissions)
    right = [span in set(wanted) for found, wanted in zip(spans, gold, strict=True) for span in found]

    def confidences(temperature: float) -> Floats:
        return np.concatenate(decoder.confidences(emissions, spans, temperature))

    return fit_temperature(confidences, np.array(right, bool))


def fit_on_classes(scores: Floats, gold: NDArray[np.int64], none: int) -> TemperatureFit:
    """Fit on the classes that a softmax over (n, K) scores predicts, ``none`` apart: it is not reported.

    Args:
        scores: −∞ where a class is out of the question.
        gold: (n,) right class of each row; −1 where it is none of the K.
        none: class that counts as no prediction.

    Raises:
        DataError: nothing is predicted.
    """
    best = scores.argmax(1)
    told = best != none
    behind = scores[told] - scores[told].max(1, keepdims=True)  # 0 for what is predicted

    def confidences(temperature: float) -> Floats:
        return np.asarray(1 / np.exp(behind / temperature).sum(1))

    return fit_temperature(confidences, best[told] == gold[told])


def _minimum(loss: Callable[[float], float], low: float, high: float, steps: int = 30) -> float:
    """Where a function of one number is smallest: a coarse grid, then golden-section search."""
    grid = np.linspace(low, high, 13)
    lowest = int(np.argmin([loss(float(x)) for x in grid]))
    low, high = float(grid[max(lowest - 1, 0)]), float(grid[min(lowest + 1, len(grid) - 1)])
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_a, loss_b = loss(a), loss(b)
    for _ in range(steps):
        if loss_a < loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - _GOLDEN * (high - low)
            loss_a = loss(a)
        else:
            low, a, loss_a = a, b, loss_b
            b = low + _GOLDEN * (high - low)
            loss_b = loss(b)
    return (low + high) / 2
