"""How far predictions can be trusted: one report from arrays of predictions.

Calibration, overall and by type; risk against coverage; which measures find the errors, and of which kind;
what each source had a part in. Intervals draw posts, not predictions. Beside every figure of predictions
stands how much gold was missed, for which there is no confidence.

It does not know models or files.

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
    DRAWS,
    Interval,
    draw_figures,
    percentile_interval,
    reflected_interval,
)
from twofold.evaluation.calibration import (
    Bin,
    calibration_error_by_chance,
    calibration_figures,
    reliability,
)
from twofold.evaluation.detection import Detection, detect
from twofold.evaluation.error_types import RIGHT
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.selective import COVERAGES, Point, best_f1, point_at, risk_curve, selective_figures

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ALL = "all"
_REFLECTED = {"ece", "adaptive_ece"}


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """Of all predictions, or of one type.

    Attributes:
        predictions: how many.
        right: how many of them are right.
        missed: gold items that none of them is.
        ece_by_chance: what ``ece`` would be on average if every confidence were exact.
        figures: ``confidence`` (mean), ``accuracy``, ``ece``, ``adaptive_ece``, ``mce``, ``brier``, ``nll``.
    """

    predictions: int
    right: int
    missed: int
    ece_by_chance: float
    figures: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class BeforeCalibration:
    """The same predictions with the confidences that nothing was fitted for.

    Attributes:
        calibration: by type, and of ``all``.
        reliability: bars of their reliability diagram.
    """

    calibration: Mapping[str, CalibrationFigures]
    reliability: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class SelectiveFigures:
    """When the least sure predictions are set aside.

    Attributes:
        figures: ``aurc``, ``excess_aurc``, ``augrc``, ``risk_at_80_coverage``, ``coverage_at_5_risk``,
            ``coverage_at_10_risk``.
        best_f1: where F1 is largest, on these very predictions.
        curve: risk, recall and F1 as coverage grows by 5 % a step.
    """

    figures: Mapping[str, Interval]
    best_f1: Point
    curve: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """What one source had a part in.

    Attributes:
        predictions: those in posts that have the source.
        share: mean share of it in them.
        share_right: in those that are right. share_wrong: in those that are wrong.
    """

    predictions: int
    share: float
    share_right: float
    share_wrong: float


@dataclass(frozen=True, slots=True)
class TrustReport:
    """All figures, as plain data.

    Attributes:
        posts: P. gold: number of gold items, found and missed.
        kinds: number of predictions that are right, and of each kind of mistake.
        calibration: by type, and of ``all``.
        reliability: bars of the reliability diagram of all predictions.
        selective: see `SelectiveFigures`.
        errors: by measure (``confidence``: 1 − confidence; then those of `Predictions.uncertainty`), how well
            it tells errors from right predictions: ``all`` errors, and each kind alone.
        error_auroc: by measure, its AUROC for all errors with an interval.
        sources: by name.
        before: calibration before calibration; None where that is not known.
    """

    posts: int
    gold: int
    kinds: Mapping[str, int]
    calibration: Mapping[str, CalibrationFigures]
    reliability: tuple[Bin, ...]
    selective: SelectiveFigures
    errors: Mapping[str, Mapping[str, Detection]]
    error_auroc: Mapping[str, Interval]
    sources: Mapping[str, SourceFigures]
    before: BeforeCalibration | None = None


def trust_report(predictions: Predictions, *, draws: int = DRAWS, seed: int = 0) -> TrustReport:
    """Compute everything.

    Args:
        predictions: S predictions on P posts.
        draws: of posts, for the intervals.
        seed: of the draws.
    """
    p = predictions
    types = sorted({*p.type.tolist(), *p.missed_type.tolist()})
    return TrustReport(
        posts=p.posts,
        gold=p.gold,
        kinds={name: int((p.kind == name).sum()) for name in sorted({*p.kind.tolist(), RIGHT})},
        calibration={name: _calibration(p, p.confidence, name, draws, seed) for name in (ALL, *types)},
        reliability=reliability(p.confidence, p.right),
        selective=_selective(p, draws, seed),
        errors={name: _errors(p, score) for name, score in measures(p).items()},
        error_auroc=_aurocs(p, draws, seed),
        sources={name: _source(share, p.right) for name, share in p.share.items()},
        before=None if p.before is None else _before(p, p.before, (ALL, *types), draws, seed),
    )


def _before(
    p: Predictions, confidence: Floats, types: Sequence[str], draws: int, seed: int
) -> BeforeCalibration:
    figures = {name: _calibration(p, confidence, name, draws, seed) for name in types}
    return BeforeCalibration(figures, reliability(confidence, p.right))


def measures(predictions: Predictions) -> dict[str, Floats]:
    """What may tell errors, by name, (S,) each, larger for less sure."""
    return {"confidence": 1 - predictions.confidence, **predictions.uncertainty}


def _calibration(p: Predictions, confidences: Floats, kind: str, draws: int, seed: int) -> CalibrationFigures:
    mine = np.full(len(p.type), True) if kind == ALL else p.type == kind
    confidence, right, post = confidences[mine], p.right[mine], p.post[mine]
    missed = len(p.missed_type) if kind == ALL else int((p.missed_type == kind).sum())
    drawn = draw_figures(
        lambda w: calibration_figures(confidence, right, w[post]), p.posts, draws=draws, seed=seed
    )
    values = calibration_figures(confidence, right)
    chance = calibration_error_by_chance(confidence)
    return CalibrationFigures(len(right), int(right.sum()), missed, chance, _intervals(values, drawn))


def _selective(p: Predictions, draws: int, seed: int) -> SelectiveFigures:
    drawn = draw_figures(
        lambda w: selective_figures(p.confidence, p.right, w[p.post]), p.posts, draws=draws, seed=seed
    )
    curve = risk_curve(p.confidence, p.right)
    return SelectiveFigures(
        _intervals(selective_figures(p.confidence, p.right), drawn),
        best_f1(curve, p.gold),
        tuple(point_at(curve, p.gold, coverage) for coverage in COVERAGES) if curve.total else (),
    )


def _errors(p: Predictions, score: Floats) -> dict[str, Detection]:
    """Each kind against what is right: mistakes of other kinds stand aside."""
    known = np.isfinite(score)
    mistakes = sorted(set(p.kind.tolist()) - {RIGHT})
    chosen = {ALL: known} | {kind: known & (p.right | (p.kind == kind)) for kind in mistakes}
    return {kind: detect(score[mine], ~p.right[mine]) for kind, mine in chosen.items()}


def _aurocs(p: Predictions, draws: int, seed: int) -> dict[str, Interval]:
    scores = {name: (score, np.isfinite(score)) for name, score in measures(p).items()}

    def figures(weights: Floats) -> dict[str, float]:
        return {
            name: detect(score[known], ~p.right[known], weights[p.post[known]]).auroc
            for name, (score, known) in scores.items()
        }

    drawn = draw_figures(figures, p.posts, draws=draws, seed=seed)
    return _intervals(figures(np.ones(p.posts)), drawn)


def _source(share: Floats, right: Flags) -> SourceFigures:
    there = np.isfinite(share)
    parts = (share[there], share[there & right], share[there & ~right])
    return SourceFigures(int(there.sum()), *(float(x.mean()) if len(x) else math.nan for x in parts))


def _intervals(values: Mapping[str, float], drawn: Mapping[str, Floats]) -> dict[str, Interval]:
    nothing = np.zeros(0)
    return {
        name: (reflected_interval if name in _REFLECTED else percentile_interval)(
            value, drawn.get(name, nothing)
        )
        for name, value in values.items()
    }


def plain(value: Any, digits: int = 6) -> Any:
    """A report as lists, dicts, numbers and texts for JSON; nan becomes None, so does infinity."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), digits) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict(), digits)
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, digits) for item in value]
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value
