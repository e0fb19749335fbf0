"""Selective prediction: risk and F1 against coverage when the least confident predictions are rejected.

Predictions are accepted by decreasing confidence. After k of S, coverage is k/S and the selective risk is the
error rate among the k. Equal confidences have no order: a metric that needs one is the expectation over all
orders, which spreads their errors evenly. A threshold accepts all of several equal confidences or none.

- AURC, mean selective risk over k = 1 … S (Geifman & El-Yaniv 2017); excess-AURC, AURC minus that of the
  optimal order of the same predictions (Geifman, Uziel & El-Yaniv 2019).
- AUGRC, area under the *generalized* risk, accepted errors / S, by trapezoids from coverage 0 (Traub et al.
  2024): the probability that a random prediction is wrong and accepted, at a random threshold. It is
  (1 − AUROC)·p·(1−p) + p²/2 for error rate p.

Risk counts predictions only; F1 counts missed gold items, too. Weights are whole numbers, as in
`calibration_error`. This module does not know posts, spans or models.

Shape letters: S predictions, G distinct confidences.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Weights = NDArray[np.floating] | NDArray[np.integer] | None

COVERAGES = tuple(i / 20 for i in range(1, 21))
"""Coverages at which a report evaluates the curve."""


class RiskCoverageCurve(NamedTuple):
    """Counts at decreasing thresholds; entry 0 accepts nothing.

    Attributes:
        threshold: (1 + G,) accepted predictions have at least this confidence; inf first.
        accepted: (1 + G,) number of accepted predictions.
        errors: (1 + G,) number of errors among them.
    """

    threshold: Floats
    accepted: Floats
    errors: Floats

    @property
    def total(self) -> float:
        """S."""
        return float(self.accepted[-1])


class OperatingPoint(NamedTuple):
    """A point of the curve.

    Attributes:
        coverage: fraction of the predictions that is accepted.
        threshold: confidence of the last accepted prediction.
        risk: error rate of the accepted predictions.
        recall: fraction of all gold items that is predicted and accepted.
        f1: harmonic mean of 1 − risk and recall.
    """

    coverage: float
    threshold: float
    risk: float
    recall: float
    f1: float


def risk_coverage_curve(confidences: Floats, right: Flags, weights: Weights = None) -> RiskCoverageCurve:
    """The curve that all metrics are computed from.

    Args:
        confidences: (S,) any score, larger for more confident predictions.
        right: (S,) True where the prediction is right.
        weights: (S,) how often each counts, whole numbers; None for once.
    """
    weight = np.ones(len(confidences)) if weights is None else np.asarray(weights, np.float64)
    values, group = np.unique(-confidences, return_inverse=True)
    mass = np.bincount(group, weight, minlength=len(values))
    errors = np.bincount(group, weight * ~right, minlength=len(values))
    nonempty = mass > 0
    return RiskCoverageCurve(
        np.append(math.inf, -values[nonempty]),
        np.append(0.0, np.cumsum(mass[nonempty])),
        np.append(0.0, np.cumsum(errors[nonempty])),
    )


def aurc(curve: RiskCoverageCurve) -> float:
    """Area under the risk–coverage curve, in [0, 1]; smaller is better.

    Within m equal confidences, the risk after j is (E + e·j/m) / (N + j), with N accepted and E wrong before
    them and e wrong among them; its sum over j is e + (E − N·e/m)·(H(N+m) − H(N)), H the harmonic numbers.
    """
    if not curve.total:
        return math.nan
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, round(curve.total) + 1)))
    sums = harmonic[np.rint(curve.accepted).astype(np.int64)]
    before, wrong = curve.accepted[:-1], curve.errors[:-1]
    rate = np.diff(curve.errors) / np.diff(curve.accepted)
    area = np.diff(curve.errors) + (wrong - before * rate) * np.diff(sums)
    return float(area.sum() / curve.total)


def optimal_aurc(predictions: float, errors: float) -> float:
    """AURC of the optimal order: all errors last."""
    if not predictions:
        return math.nan
    late = np.arange(1, round(errors) + 1)
    return float((late / (predictions - errors + late)).sum() / predictions)


def excess_aurc(curve: RiskCoverageCurve) -> float:
    """AURC above `optimal_aurc`, at least 0: what the best order of the predictions would save."""
    return aurc(curve) - optimal_aurc(curve.total, float(curve.errors[-1]))


def augrc(curve: RiskCoverageCurve) -> float:
    """Area under the generalized risk–coverage curve, in [0, 0.5]; smaller is better."""
    if not curve.total:
        return math.nan
    middle = (curve.errors[1:] + curve.errors[:-1]) / 2
    return float((np.diff(curve.accepted) * middle).sum() / curve.total**2)


def risk_at(curve: RiskCoverageCurve, coverage: float) -> float:
    """Selective risk at a coverage in (0, 1], interpolated between whole predictions."""
    accepted = coverage * curve.total
    return float(np.interp(accepted, curve.accepted, curve.errors) / accepted) if accepted else math.nan


def coverage_at(curve: RiskCoverageCurve, risk: float) -> float:
    """Largest coverage of any threshold whose risk on these predictions is at most ``risk``; 0 for none.

    It uses the labels of these predictions; for a threshold that holds on new data, see
    `twofold.calibration.risk_control`.
    """
    if not curve.total:
        return math.nan
    within = curve.errors <= risk * curve.accepted * (1 + 1e-12)
    return float(curve.accepted[within].max() / curve.total)


def operating_point(curve: RiskCoverageCurve, gold: float, coverage: float) -> OperatingPoint:
    """The point of the curve at a coverage.

    Args:
        curve: of the predictions.
        gold: number of gold items, including missed ones.
        coverage: in (0, 1].
    """
    accepted = coverage * curve.total
    if not accepted:
        return OperatingPoint(
            coverage, math.nan, math.nan, 0.0 if gold else math.nan, 0.0 if gold else math.nan
        )
    risk = risk_at(curve, coverage)
    correct = accepted * (1 - risk)
    threshold = curve.threshold[np.searchsorted(curve.accepted, accepted * (1 - 1e-12))]
    return OperatingPoint(
        coverage,
        float(threshold),
        risk,
        correct / gold if gold else math.nan,
        2 * correct / (accepted + gold),
    )


def best_f1(curve: RiskCoverageCurve, gold: float) -> OperatingPoint:
    """The threshold with the largest F1 on these predictions; arguments as in `operating_point`."""
    f1 = 2 * (curve.accepted - curve.errors) / np.maximum(curve.accepted + gold, 1)
    best = int(f1.argmax())
    return operating_point(curve, gold, float(curve.accepted[best] / curve.total) if curve.total else 0.0)


def selective_metrics(confidences: Floats, right: Flags, weights: Weights = None) -> dict[str, float]:
    """The main metrics by name. Arguments as in `risk_coverage_curve`."""
    curve = risk_coverage_curve(confidences, right, weights)
    return {
        "aurc": aurc(curve),
        "excess_aurc": excess_aurc(curve),
        "augrc": augrc(curve),
        "risk_at_80_coverage": risk_at(curve, 0.8),
        "coverage_at_5_risk": coverage_at(curve, 0.05),
        "coverage_at_10_risk": coverage_at(curve, 0.10),
    }
