"""Risk control: a confidence threshold that guarantees a maximum error rate of the predictions above it.

Learn-then-Test (Angelopoulos et al. 2022) with fixed-sequence testing. For each threshold of a grid the null
hypothesis is "among the predictions accepted at it, the error rate is above ε"; its p-value is the exact
binomial tail P(Bin(n, ε) ≤ k) for k errors among n accepted. Thresholds are tested from strict to loose, each
at the full level 1 − confidence, until the first that is not rejected: with an order fixed beforehand, any
false rejection includes that of the first true hypothesis, so no correction for multiple testing is needed.
The order is fixed on the tuning split: it gives the grid and the threshold to start at, the one with the
smallest p-value there, since the strictest thresholds accept too few predictions to reject anything. The
hypotheses are tested on the calibration split alone. Confidences must be fitted on the tuning split, too.

The guarantee: with a probability of at least `confidence` over random calibration splits, the error rate of
all accepted predictions is at most ε on posts from the same distribution, whatever that distribution is.
Predictions must be independent; those of one post are not quite, so counts are divided by the design effect
1 + ρ(Σ nᵢ²/n − 1) (Kish 1965; as Korn & Graubard 1998 do for Clopper–Pearson), where nᵢ predictions of post i
are accepted and ρ is the intraclass correlation of errors within a post, estimated on the tuning split. With
ρ = 0 the guarantee is exact, else approximate.

This module does not know models, posts or spans.

Shape letters: S predictions, J thresholds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.binomial import binomial_cdf, clopper_pearson_upper
from twofold.errors import ConfigError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

CONFIDENCE = 0.95
STEPS = 100
_ERROR_STEP = 0.005
_SLACK = 1e-9  # equal confidences differ by less than this between batches and machines


class ScoredPredictions(NamedTuple):
    """S predictions with their confidences and labels.

    Attributes:
        confidence: (S,).
        right: (S,) True where the prediction is right.
        post: (S,) id of the post, any whole number.
    """

    confidence: Floats
    right: Flags
    post: Integers


@dataclass(frozen=True, slots=True)
class RiskCurve:
    """Counts at each threshold, from which `control_risk` finds a threshold for any error rate.

    Attributes:
        threshold: (J,) decreasing; accepted predictions have at least this confidence.
        tuning_accepted: (J,) accepted on the tuning split. tuning_errors: (J,) errors among them.
        accepted: (J,) accepted on the calibration split. errors: (J,) errors among them.
        accepted_squared: (J,) Σ over its posts of the squared number of accepted predictions.
        correlation: ρ, intraclass correlation of errors within a post, in [0, 1], from the tuning split.
    """

    threshold: Floats
    tuning_accepted: Floats
    tuning_errors: Floats
    accepted: Floats
    errors: Floats
    accepted_squared: Floats
    correlation: float

    def effective_counts(self, index: int) -> tuple[float, float]:
        """Errors and accepted predictions at a threshold, divided by the design effect."""
        errors, accepted = float(self.errors[index]), float(self.accepted[index])
        if not accepted:
            return 0.0, 0.0
        effect = 1 + self.correlation * (float(self.accepted_squared[index]) / accepted - 1)
        return errors / effect, accepted / effect


@dataclass(frozen=True, slots=True)
class RiskControl:
    """The result for a maximum error rate.

    Attributes:
        max_error: ε, the error rate. confidence: confidence of the guarantee.
        threshold: accept predictions with at least this confidence; None where no threshold guarantees ε.
        accepted: predictions accepted on the calibration split, at the threshold or, without one, at the
            threshold where testing began. errors: errors among them.
        coverage: fraction of the predictions that is accepted.
        upper_bound: upper bound on the error rate, at the confidence.
        achievable: without a threshold, the result for the smallest error rate, in steps of half a per
            cent, that has one; None where none has. It is selected on the same data, so a strict guarantee
            for it needs new data.
        data_factor: without a threshold, how many times as much held-out data would give one at the observed
            error rate; None where no amount would.
    """

    max_error: float
    confidence: float
    threshold: float | None
    accepted: int
    errors: int
    coverage: float
    upper_bound: float
    achievable: RiskControl | None = None
    data_factor: float | None = None


def risk_curve(tuning: ScoredPredictions, calibration: ScoredPredictions, steps: int = STEPS) -> RiskCurve:
    """Count at a grid of thresholds.

    Args:
        tuning: predictions on the tuning split, which confidences were fitted on.
        calibration: predictions on the calibration split, with confidences of the same fit.
        steps: number of thresholds, at evenly spaced quantiles of the tuning confidences; the last accepts
            everything.
    """
    parts = np.arange(1, steps) / steps
    inner = np.quantile(tuning.confidence, 1 - parts, method="higher") if len(tuning.right) else np.zeros(0)
    thresholds = np.append(np.unique(inner)[::-1] - _SLACK, 0.0)
    tuning_accepted, tuning_errors, _ = _counts(tuning, thresholds)
    accepted, errors, squared = _counts(calibration, thresholds)
    correlation = error_correlation(tuning)
    return RiskCurve(thresholds, tuning_accepted, tuning_errors, accepted, errors, squared, correlation)


def _counts(predictions: ScoredPredictions, thresholds: Floats) -> tuple[Floats, Floats, Floats]:
    _, post = np.unique(predictions.post, return_inverse=True)
    above = predictions.confidence >= thresholds[:, None]  # (J, S)
    squared = np.array([(np.bincount(post[row]) ** 2).sum() for row in above], np.float64)
    return above.sum(1).astype(float), (above & ~predictions.right).sum(1).astype(float), squared


def error_correlation(predictions: ScoredPredictions) -> float:
    """ρ in [0, 1]: intraclass correlation of errors, from the variance of their sums by post.

    Where all predictions are of one post, ρ cannot be estimated: 1, the most cautious value.
    """
    _, post = np.unique(predictions.post, return_inverse=True)
    count, errors = np.bincount(post), np.bincount(post, ~predictions.right)
    n, posts = len(predictions.right), len(count)
    rate = errors.sum() / n if n else 0.0
    size = (count**2).sum() / n - 1 if n else 0.0
    if not 0 < rate < 1 or size <= 0:
        return 0.0
    if posts == 1:
        return 1.0
    variance = posts / (posts - 1) * ((errors - rate * count) ** 2).sum() / n
    return float(np.clip((variance / (rate * (1 - rate)) - 1) / size, 0.0, 1.0))


def control_risk(curve: RiskCurve, max_error: float, confidence: float = CONFIDENCE) -> RiskControl:
    """Find the loosest threshold that guarantees an error rate of at most ``max_error``.

    Raises:
        ConfigError: max_error or confidence is not between 0 and 1.
    """
    for name, value in (("error rate", max_error), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ConfigError(f"the {name} is {value}", expected="a number between 0 and 1")
    start, last = _test_thresholds(curve, max_error, confidence)
    index = start if last is None else last
    accepted = int(curve.accepted[index])
    return RiskControl(
        max_error=max_error,
        confidence=confidence,
        threshold=None if last is None else float(curve.threshold[index]),
        accepted=accepted,
        errors=int(curve.errors[index]),
        coverage=accepted / float(curve.accepted[-1]) if curve.accepted[-1] else 0.0,
        upper_bound=clopper_pearson_upper(*curve.effective_counts(index), confidence),
        achievable=None if last is not None else _achievable(curve, max_error, confidence),
        data_factor=None if last is not None else _data_factor(curve, start, max_error, confidence),
    )


def _test_thresholds(curve: RiskCurve, max_error: float, confidence: float) -> tuple[int, int | None]:
    """Index of the threshold where testing starts, and of the last before the first that is not rejected."""
    tuning = zip(curve.tuning_errors.tolist(), curve.tuning_accepted.tolist(), strict=True)
    start = int(np.argmin([binomial_cdf(k, n, max_error) if n else 1.0 for k, n in tuning]))
    last = None
    for index in range(start, len(curve.threshold)):
        errors, accepted = curve.effective_counts(index)
        if not accepted or binomial_cdf(errors, accepted, max_error) > 1 - confidence:
            break
        last = index
    return start, last


def _achievable(curve: RiskCurve, max_error: float, confidence: float) -> RiskControl | None:
    first = math.floor(max(max_error, _least_error(curve, confidence)) / _ERROR_STEP) + 1
    for step in range(first, round(1 / _ERROR_STEP)):
        if _test_thresholds(curve, step * _ERROR_STEP, confidence)[1] is not None:
            return control_risk(curve, round(step * _ERROR_STEP, 6), confidence)
    return None


def _least_error(curve: RiskCurve, confidence: float) -> float:
    """No threshold guarantees an error rate up to this one: its upper bound exceeds the observed rate."""
    rates = curve.errors[curve.accepted > 0] / curve.accepted[curve.accepted > 0]
    return float(rates.min(initial=1.0)) if confidence > 0.5 else 0.0


def _data_factor(curve: RiskCurve, index: int, max_error: float, confidence: float) -> float | None:
    errors, accepted = curve.effective_counts(index)
    if not accepted or errors / accepted >= max_error:
        return None
    factor = 1.0
    while binomial_cdf(errors * factor, accepted * factor, max_error) > 1 - confidence:
        factor *= 1.1
        if factor > 1e6:
            return None
    return factor
