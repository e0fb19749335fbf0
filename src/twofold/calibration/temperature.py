"""Temperature scaling: one temperature for all confidences, fitted on held-out predictions.

The temperature (Guo et al. 2017) divides all scores of the model; the predictions stay the same, only their
confidences change. It minimises the negative log-likelihood of "this prediction is right". Missed gold items
are not used. If that has no minimum, as when every prediction is right and all confidences would become 1,
the targets are those of Platt (1999): (R + 1) / (R + 2) for R right, 1 / (W + 2) for W wrong predictions.

This module does not know posts or models: it sees confidences as a function of the temperature, and which
predictions are right.
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

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""Bounds of the search."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_EPSILON = 1e-12
"""Smallest probability in a logarithm."""
_AT_BOUND = 1e-3
"""Distance of the logarithm of a temperature from a bound, below which it counts as the bound."""


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A fitted temperature, with metrics before and after on the data it was fitted on.

    Attributes:
        temperature: in [MIN_TEMPERATURE, MAX_TEMPERATURE]; above 1 lowers confidences.
        predictions: number of predictions it was fitted on.
        accuracy: fraction of them that is right.
        nll_before: mean negative log-likelihood at temperature 1, in nats per prediction.
        nll_after: the same at the fitted temperature.
        ece_before: expected calibration error at temperature 1, see `twofold.evaluation.calibration_error`.
        ece_after: the same at the fitted temperature.
    """

    temperature: float
    predictions: int
    accuracy: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def require_predictions(right: Flags) -> None:
    """Raise an error if there is no prediction to fit on.

    Args:
        right: (S,) True where a prediction is right.

    Raises:
        DataError: S is 0.
    """
    if not len(right):
        raise DataError(
            "the model predicted nothing on the calibration data",
            expected="data on which it predicts something",
            do="calibrate on more or other labelled posts",
        )


def fit_temperature(confidences: Callable[[float], Floats], right: Flags) -> TemperatureFit:
    """Fit a temperature on any predictions.

    Args:
        confidences: returns the confidence (S,) of each prediction at a temperature.
        right: (S,) True where the prediction is right.

    Raises:
        DataError: there is no prediction to fit on.
    """
    require_predictions(right)

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(confidences(math.exp(log_temperature)), right)

    found = _minimum(loss, low, high)
    if min(found - low, high - found) < _AT_BOUND:
        found = _minimum(lambda x: _platt_loss(confidences(math.exp(x)), right), low, high)
    best = math.exp(found)
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
    """Fit a temperature on the spans that a decoder predicts.

    Args:
        decoder: the CRF.
        emissions: (W, K) for each post.
        gold: gold spans of each post, in words.

    Raises:
        DataError: nothing is predicted.
    """
    spans = decoder.decode(emissions)
    right = [span in set(wanted) for row, wanted in zip(spans, gold, strict=True) for span in row]

    def confidences(temperature: float) -> Floats:
        return np.concatenate(decoder.confidences(emissions, spans, temperature))

    return fit_temperature(confidences, np.array(right, bool))


def fit_on_classes(scores: Floats, gold: NDArray[np.int64], none: int) -> TemperatureFit:
    """Fit a temperature on the classes that a softmax over (n, K) scores predicts, except ``none``.

    Args:
        scores: −∞ for excluded classes.
        gold: (n,) gold class of each row; −1 where it is not among the K.
        none: class that counts as no prediction.

    Raises:
        DataError: nothing is predicted.
    """
    best = scores.argmax(1)
    predicted = best != none
    shifted = scores[predicted] - scores[predicted].max(1, keepdims=True)  # 0 for the predicted class

    def confidences(temperature: float) -> Floats:
        return np.asarray(1 / np.exp(shifted / temperature).sum(1))

    return fit_temperature(confidences, best[predicted] == gold[predicted])


def _platt_loss(confidences: Floats, right: Flags) -> float:
    """Cross-entropy with targets that no finite sample exceeds (Platt 1999, section 2.2)."""
    hits, misses = int(right.sum()), int((~right).sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
    p = np.clip(confidences, _EPSILON, 1 - _EPSILON)
    return float(-(targets * np.log(p) + (1 - targets) * np.log1p(-p)).mean())


def _minimum(loss: Callable[[float], float], low: float, high: float, steps: int = 30) -> float:
    """Minimum of a function of one number: a coarse grid, then golden-section search."""
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
