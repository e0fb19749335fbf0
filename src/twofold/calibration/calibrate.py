"""Calibrates any kind of prediction on labelled data, and measures the result.

A method fits confidences on the tuning split. Thresholds are tested, conformal quantiles fitted and
calibration measured on the calibration split. The coverage of prediction sets is measured on the tuning
split, which their quantiles were not fitted on.

This module does not know what is predicted, models or files.

Shape letters: S predictions, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from twofold.calibration.calibration import Calibration
from twofold.calibration.conformal import (
    ConformalQuantiles,
    SetMetrics,
    fit_quantiles,
    set_metrics,
    with_predicted,
)
from twofold.calibration.labelled_predictions import LabelledPredictions
from twofold.calibration.methods import Method, one_temperature
from twofold.calibration.risk_control import (
    RiskControl,
    RiskCurve,
    ScoredPredictions,
    control_risk,
    risk_curve,
)
from twofold.calibration.splits import SEED, in_tuning_split
from twofold.errors import DataError
from twofold.evaluation.calibration_error import calibration_error_if_calibrated, calibration_metrics

MIN_PREDICTIONS = 30
"""Fewest predictions that each split must hold."""
REPORTED_ERRORS, REPORTED_COVERAGES = (0.02, 0.05, 0.10, 0.20), (0.80, 0.90, 0.95)
"""Error rates and coverages that a report shows."""


class SplitCounts(NamedTuple):
    """A number for each split."""

    tuning: int
    calibration: int


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Metrics of a calibration.

    Attributes:
        posts: number of posts in each split.
        predictions: number of predictions in each split.
        before: metrics of the calibration split's confidences at temperature 1 (`calibration_metrics`).
        after: metrics of the calibrated confidences.
        ece_if_calibrated: mean ``ece`` of perfectly calibrated predictions with these confidences.
        risk_control: thresholds for each of `REPORTED_ERRORS`.
        prediction_sets: metrics on the tuning split for each of `REPORTED_COVERAGES`.
    """

    posts: SplitCounts
    predictions: SplitCounts
    before: Mapping[str, float]
    after: Mapping[str, float]
    ece_if_calibrated: float
    risk_control: tuple[RiskControl, ...]
    prediction_sets: Mapping[str, SetMetrics]


def calibrate(
    data: LabelledPredictions,
    posts: Sequence[str | int],
    what: str,
    *,
    method: Method = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, CalibrationReport]:
    """Fit a calibration on labelled predictions, and measure it.

    Args:
        data: predictions on at least some hundred posts.
        posts: id of each post; posts with the same id are in the same split.
        what: name of the predictions, in the plural.
        method: one of `METHODS`.
        score: nonconformity score of the prediction sets, one of `conformal.SCORES`.
        seed: seed of the splits.

    Raises:
        DataError: a split has fewer than `MIN_PREDICTIONS` predictions.
    """
    mask = in_tuning_split(posts, seed)
    tuning, calibration = data.select_posts(mask), data.select_posts(~mask)
    _check_size(tuning, calibration, what)
    fitted = method(tuning)
    quantiles = fit_quantiles(calibration.probabilities(fitted), calibration.labels, data.classes, score)
    curve = risk_curve(_scored(tuning, fitted), _scored(calibration, fitted))
    whole = Calibration(fitted.temperature, fitted.temperature_by_type, fitted.isotonic, curve, quantiles)
    return whole, _report(whole, curve, tuning, calibration)


def prediction_set_metrics(
    data: LabelledPredictions, calibration: Calibration, quantiles: ConformalQuantiles
) -> dict[str, SetMetrics]:
    """Metrics of the prediction sets for each of `REPORTED_COVERAGES`."""
    probabilities = data.probabilities(calibration)
    return {
        f"{coverage:.2f}": set_metrics(
            with_predicted(quantiles.prediction_sets(probabilities, coverage), data.predicted), data.labels
        )
        for coverage in REPORTED_COVERAGES
    }


def _scored(data: LabelledPredictions, calibration: Calibration) -> ScoredPredictions:
    return ScoredPredictions(data.confidences(calibration), data.right, data.post)


def _check_size(tuning: LabelledPredictions, calibration: LabelledPredictions, what: str) -> None:
    fewest = min(len(tuning.right), len(calibration.right))
    if fewest < MIN_PREDICTIONS:
        raise DataError(
            f"the model predicts {fewest} {what} in one half of the posts",
            expected=f"at least {MIN_PREDICTIONS}, and some hundreds for narrow intervals",
            do="calibrate on more labelled posts"
            + (", or entities only (--no-relations)" if what == "relations" else ""),
        )


def _report(
    fitted: Calibration, curve: RiskCurve, tuning: LabelledPredictions, calibration: LabelledPredictions
) -> CalibrationReport:
    before, after = (calibration.confidences(c) for c in (Calibration(1.0), fitted))
    assert fitted.conformal is not None
    return CalibrationReport(
        posts=SplitCounts(tuning.posts, calibration.posts),
        predictions=SplitCounts(len(tuning.right), len(calibration.right)),
        before=calibration_metrics(before, calibration.right),
        after=calibration_metrics(after, calibration.right),
        ece_if_calibrated=calibration_error_if_calibrated(after),
        risk_control=tuple(control_risk(curve, error) for error in REPORTED_ERRORS),
        prediction_sets=prediction_set_metrics(tuning, fitted, fitted.conformal),
    )
