"""Trust report: calibration, selective prediction and error detection from arrays of predictions.

Calibration, overall and by type; risk against coverage; how well each measure of uncertainty detects errors,
by error type; the share of each modality. Intervals resample posts, not predictions. Missed gold items have
no confidence; their number is reported beside the metrics of predictions.

This module does not know models or files.

Shape letters: S predictions, P posts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.bootstrap import (
    RESAMPLES,
    Interval,
    bootstrap_metrics,
    percentile_interval,
    reflected_interval,
)
from twofold.evaluation.calibration_error import (
    Bin,
    calibration_error_if_calibrated,
    calibration_metrics,
    reliability,
)
from twofold.evaluation.detection import DetectionMetrics, detection_metrics
from twofold.evaluation.error_types import RIGHT
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.selective import (
    COVERAGES,
    OperatingPoint,
    best_f1,
    operating_point,
    risk_coverage_curve,
    selective_metrics,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ALL = "all"
_REFLECTED = {"ece", "adaptive_ece"}


@dataclass(frozen=True, slots=True)
class CalibrationMetrics:
    """Calibration of all predictions, or of one type.

    Attributes:
        predictions: number of predictions.
        right: number of right ones.
        missed: number of gold items that were missed.
        ece_if_calibrated: mean ``ece`` of perfectly calibrated predictions with these confidences.
        metrics: ``confidence`` (mean), ``accuracy``, ``ece``, ``adaptive_ece``, ``mce``, ``brier``, ``nll``.
    """

    predictions: int
    right: int
    missed: int
    ece_if_calibrated: float
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class UncalibratedMetrics:
    """Calibration of the same predictions with the network's own confidences, at temperature 1.

    Attributes:
        calibration: metrics by type, and of ``all``.
        reliability: bins of the reliability diagram.
    """

    calibration: Mapping[str, CalibrationMetrics]
    reliability: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class SelectiveMetrics:
    """Selective prediction: the predictions with the lowest confidences are rejected.

    Attributes:
        metrics: ``aurc``, ``excess_aurc``, ``augrc``, ``risk_at_80_coverage``, ``coverage_at_5_risk``,
            ``coverage_at_10_risk``.
        best_f1: the threshold with the largest F1 on these predictions themselves.
        curve: risk, recall and F1 in steps of 5 % coverage.
    """

    metrics: Mapping[str, Interval]
    best_f1: OperatingPoint
    curve: tuple[OperatingPoint, ...]


@dataclass(frozen=True, slots=True)
class ModalityMetrics:
    """The share of one modality in the evidence.

    Attributes:
        predictions: number of predictions in posts that have the modality.
        share: its mean share in them.
        share_right: mean share in right predictions. share_wrong: in wrong ones.
    """

    predictions: int
    share: float
    share_right: float
    share_wrong: float


@dataclass(frozen=True, slots=True)
class TrustReport:
    """All metrics, as plain data.

    Attributes:
        posts: P. gold: number of gold items, found and missed.
        error_types: number of right predictions, and of each error type.
        calibration: metrics by type, and of ``all``.
        reliability: bins of the reliability diagram of all predictions.
        selective: see `SelectiveMetrics`.
        error_detection: by measure (``confidence``: 1 − confidence; then those of `Predictions.uncertainty`),
            how well it detects errors: ``all`` errors, and each error type alone.
        error_auroc: by measure, its AUROC for all errors with an interval.
        modalities: metrics by modality.
        uncalibrated: calibration at temperature 1; None where those confidences are not known.
    """

    posts: int
    gold: int
    error_types: Mapping[str, int]
    calibration: Mapping[str, CalibrationMetrics]
    reliability: tuple[Bin, ...]
    selective: SelectiveMetrics
    error_detection: Mapping[str, Mapping[str, DetectionMetrics]]
    error_auroc: Mapping[str, Interval]
    modalities: Mapping[str, ModalityMetrics]
    uncalibrated: UncalibratedMetrics | None = None


def trust_report(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0) -> TrustReport:
    """Compute all metrics.

    Args:
        predictions: S predictions on P posts.
        resamples: number of resamples of the posts, for the intervals.
        seed: seed of the resamples.
    """
    p = predictions
    types = sorted({*p.type.tolist(), *p.missed_type.tolist()})
    return TrustReport(
        posts=p.posts,
        gold=p.gold,
        error_types={
            name: int((p.error_type == name).sum()) for name in sorted({*p.error_type.tolist(), RIGHT})
        },
        calibration={name: _calibration(p, p.confidence, name, resamples, seed) for name in (ALL, *types)},
        reliability=reliability(p.confidence, p.right),
        selective=_selective(p, resamples, seed),
        error_detection={name: _error_detection(p, score) for name, score in uncertainty_measures(p).items()},
        error_auroc=_aurocs(p, resamples, seed),
        modalities={name: _modality(share, p.right) for name, share in p.share.items()},
        uncalibrated=None
        if p.uncalibrated is None
        else _uncalibrated(p, p.uncalibrated, (ALL, *types), resamples, seed),
    )


def _uncalibrated(
    p: Predictions, confidence: Floats, types: Sequence[str], resamples: int, seed: int
) -> UncalibratedMetrics:
    metrics = {name: _calibration(p, confidence, name, resamples, seed) for name in types}
    return UncalibratedMetrics(metrics, reliability(confidence, p.right))


def uncertainty_measures(predictions: Predictions) -> dict[str, Floats]:
    """Measures that may detect errors, by name, (S,) each, larger for more uncertainty."""
    return {"confidence": 1 - predictions.confidence, **predictions.uncertainty}


def _calibration(
    p: Predictions, confidences: Floats, kind: str, resamples: int, seed: int
) -> CalibrationMetrics:
    mask = np.full(len(p.type), True) if kind == ALL else p.type == kind
    confidence, right, post = confidences[mask], p.right[mask], p.post[mask]
    missed = len(p.missed_type) if kind == ALL else int((p.missed_type == kind).sum())
    resampled = bootstrap_metrics(
        lambda w: calibration_metrics(confidence, right, w[post]), p.posts, resamples=resamples, seed=seed
    )
    values = calibration_metrics(confidence, right)
    expected = calibration_error_if_calibrated(confidence)
    return CalibrationMetrics(len(right), int(right.sum()), missed, expected, _intervals(values, resampled))


def _selective(p: Predictions, resamples: int, seed: int) -> SelectiveMetrics:
    resampled = bootstrap_metrics(
        lambda w: selective_metrics(p.confidence, p.right, w[p.post]), p.posts, resamples=resamples, seed=seed
    )
    curve = risk_coverage_curve(p.confidence, p.right)
    return SelectiveMetrics(
        _intervals(selective_metrics(p.confidence, p.right), resampled),
        best_f1(curve, p.gold),
        tuple(operating_point(curve, p.gold, coverage) for coverage in COVERAGES) if curve.total else (),
    )


def _error_detection(p: Predictions, score: Floats) -> dict[str, DetectionMetrics]:
    """Each error type against right predictions; errors of other types are left out."""
    known = np.isfinite(score)
    errors = sorted(set(p.error_type.tolist()) - {RIGHT})
    masks = {ALL: known} | {error: known & (p.right | (p.error_type == error)) for error in errors}
    return {error: detection_metrics(score[mask], ~p.right[mask]) for error, mask in masks.items()}


def _aurocs(p: Predictions, resamples: int, seed: int) -> dict[str, Interval]:
    scores = {name: (score, np.isfinite(score)) for name, score in uncertainty_measures(p).items()}

    def metrics(weights: Floats) -> dict[str, float]:
        return {
            name: detection_metrics(score[known], ~p.right[known], weights[p.post[known]]).auroc
            for name, (score, known) in scores.items()
        }

    resampled = bootstrap_metrics(metrics, p.posts, resamples=resamples, seed=seed)
    return _intervals(metrics(np.ones(p.posts)), resampled)


def _modality(share: Floats, right: Flags) -> ModalityMetrics:
    present = np.isfinite(share)
    parts = (share[present], share[present & right], share[present & ~right])
    return ModalityMetrics(int(present.sum()), *(float(x.mean()) if len(x) else math.nan for x in parts))


def _intervals(values: Mapping[str, float], resampled: Mapping[str, Floats]) -> dict[str, Interval]:
    nothing = np.zeros(0)
    return {
        name: (reflected_interval if name in _REFLECTED else percentile_interval)(
            value, resampled.get(name, nothing)
        )
        for name, value in values.items()
    }


def to_json(value: Any, digits: int = 6) -> Any:
    """A report as lists, dicts, numbers and strings for JSON; nan and infinity become None."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: to_json(getattr(value, field.name), digits) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_json(value._asdict(), digits)
    if isinstance(value, Mapping):
        return {str(key): to_json(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, digits) for item in value]
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value
