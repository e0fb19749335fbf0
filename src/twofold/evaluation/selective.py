"""What is left when the least sure predictions are set aside: risk and F1 against coverage.

Predictions are taken in order of falling confidence. After k of S, coverage is k/S and the selective risk
is the part of the k that is wrong. Of equal confidences no order is the right one: where a figure needs
one, it is the expectation over all, which spreads the errors of equals evenly. What a person can choose is
a threshold, and a threshold takes all equals or none.

- AURC, mean selective risk over k = 1 … S (Geifman & El-Yaniv 2017); excess-AURC, above the best order of
  the same predictions (Geifman, Uziel & El-Yaniv 2019).
- AUGRC, area under the *generalized* risk, errors kept / S, by trapezoids from coverage 0 (Traub et al.
  2024): the chance that a random prediction is wrong and kept, at a random threshold. It is
  (1 − AUROC)·p·(1−p) + p²/2 for error rate p.

Risk knows predictions only; F1 against coverage counts what was missed, too. Weights are whole numbers, as
in `calibration`. It does not know posts, spans or models.

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
"""Where curves are read for a report."""


class Curve(NamedTuple):
    """Predictions as a threshold falls; entry 0 is before any.

    Attributes:
        threshold: (1 + G,) what is kept has at least this confidence; inf first.
        kept: (1 + G,) how many are kept.
        errors: (1 + G,) how many of them are wrong.
    """

    threshold: Floats
    kept: Floats
    errors: Floats

    @property
    def total(self) -> float:
        """S."""
        return float(self.kept[-1])


class Point(NamedTuple):
    """A place on the curve.

    Attributes:
        coverage: part of the predictions kept.
        threshold: confidence of the last one kept.
        risk: part of those kept that is wrong.
        recall: part of all gold kept and right.
        f1: harmonic mean of 1 − risk and recall.
    """

    coverage: float
    threshold: float
    risk: float
    recall: float
    f1: float


def risk_curve(confidences: Floats, right: Flags, weights: Weights = None) -> Curve:
    """The curve that all figures are read from.

    Args:
        confidences: (S,) any score, larger for surer.
        right: (S,) True where the prediction is right.
        weights: (S,) how often each counts, whole numbers; None for once.
    """
    weight = np.ones(len(confidences)) if weights is None else np.asarray(weights, np.float64)
    values, group = np.unique(-confidences, return_inverse=True)
    mass = np.bincount(group, weight, minlength=len(values))
    errors = np.bincount(group, weight * ~right, minlength=len(values))
    held = mass > 0
    return Curve(
        np.append(math.inf, -values[held]),
        np.append(0.0, np.cumsum(mass[held])),
        np.append(0.0, np.cumsum(errors[held])),
    )


def aurc(curve: Curve) -> float:
    """Area under the risk–coverage curve, in [0, 1]; smaller is better.

    Within equals, risk after j of m is (E + e·j/m) / (N + j), with N kept and E wrong before them and e
    wrong among them; its sum over j is e + (E − N·e/m)·(H(N+m) − H(N)), H the harmonic numbers.
    """
    if not curve.total:
        return math.nan
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, round(curve.total) + 1)))
    sums = harmonic[np.rint(curve.kept).astype(np.int64)]
    before, wrong = curve.kept[:-1], curve.errors[:-1]
    rate = np.diff(curve.errors) / np.diff(curve.kept)
    area = np.diff(curve.errors) + (wrong - before * rate) * np.diff(sums)
    return float(area.sum() / curve.total)


def best_aurc(predictions: float, errors: float) -> float:
    """AURC of the best order there is: all errors last."""
    if not predictions:
        return math.nan
    late = np.arange(1, round(errors) + 1)
    return float((late / (predictions - errors + late)).sum() / predictions)


def excess_aurc(curve: Curve) -> float:
    """AURC above `best_aurc`, at least 0: what a better order could gain."""
    return aurc(curve) - best_aurc(curve.total, float(curve.errors[-1]))


def augrc(curve: Curve) -> float:
    """Area under the generalized risk–coverage curve, in [0, 0.5]; smaller is better."""
    if not curve.total:
        return math.nan
    middle = (curve.errors[1:] + curve.errors[:-1]) / 2
    return float((np.diff(curve.kept) * middle).sum() / curve.total**2)


def risk_at(curve: Curve, coverage: float) -> float:
    """Selective risk where this part of the predictions is kept (in between whole ones by expectation)."""
    kept = coverage * curve.total
    return float(np.interp(kept, curve.kept, curve.errors) / kept) if kept else math.nan


def coverage_at(curve: Curve, risk: float) -> float:
    """Largest coverage of any threshold whose risk on these very predictions is at most ``risk``; 0 for none.

    It looks at the answers; for a threshold that holds on other data, see `twofold.calibration.risk_control`.
    """
    if not curve.total:
        return math.nan
    fine = curve.errors <= risk * curve.kept * (1 + 1e-12)
    return float(curve.kept[fine].max() / curve.total)


def point_at(curve: Curve, gold: float, coverage: float) -> Point:
    """Where this part of the predictions is kept.

    Args:
        curve: of the predictions.
        gold: number of gold items, the missed ones included.
        coverage: in (0, 1].
    """
    kept = coverage * curve.total
    if not kept:
        return Point(coverage, math.nan, math.nan, 0.0 if gold else math.nan, 0.0 if gold else math.nan)
    risk = risk_at(curve, coverage)
    correct = kept * (1 - risk)
    threshold = curve.threshold[np.searchsorted(curve.kept, kept * (1 - 1e-12))]
    return Point(
        coverage, float(threshold), risk, correct / gold if gold else math.nan, 2 * correct / (kept + gold)
    )


def best_f1(curve: Curve, gold: float) -> Point:
    """Where F1 on these very predictions is largest; arguments as in `point_at`."""
    f1 = 2 * (curve.kept - curve.errors) / np.maximum(curve.kept + gold, 1)
    place = int(f1.argmax())
    return point_at(curve, gold, float(curve.kept[place] / curve.total) if curve.total else 0.0)


def selective_figures(confidences: Floats, right: Flags, weights: Weights = None) -> dict[str, float]:
    """The main figures by name. Arguments as in `risk_curve`."""
    curve = risk_curve(confidences, right, weights)
    return {
        "aurc": aurc(curve),
        "excess_aurc": excess_aurc(curve),
        "augrc": augrc(curve),
        "risk_at_80_coverage": risk_at(curve, 0.8),
        "coverage_at_5_risk": coverage_at(curve, 0.05),
        "coverage_at_10_risk": coverage_at(curve, 0.10),
    }
