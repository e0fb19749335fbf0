"""Effect of mismatched, perturbed and missing pictures on predictions: metrics, and checks of requirements.

Every condition is compared with the original pictures of the same posts. Intervals come from a paired
bootstrap over posts. This module does not know models or pictures.

Shape letters: N posts, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.bootstrap import RESAMPLES, Interval, bootstrap_metrics, percentile_interval
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.paired_bootstrap import Difference, compare, mean_f1
from twofold.robustness.condition_results import (
    BLANK,
    CORRUPT,
    MEASURES,
    MISMATCHED,
    MISSING,
    ORIGINAL,
    TEXT_ONLY,
    UNCERTAINTIES,
    ConditionResults,
    Counts,
)

Floats = NDArray[np.float64]

F1_LOSS = 0.005
"""Maximum loss of F1 with a mismatched picture, compared with no picture."""
LEAST_POSTS = 30
"""With fewer posts, the checks of estimated metrics are not decided."""
ROUNDING = 1e-9
"""Decrease of a mean that may be due to rounding."""


class Change(NamedTuple):
    """A measure under a condition, mean over posts.

    Attributes:
        value: mean of the measure.
        change: its mean change from the original picture, over posts with a value under both.
        posts: number of these posts.
    """

    value: float
    change: Interval
    posts: int


@dataclass(frozen=True, slots=True)
class ConditionMetrics:
    """One condition compared with the original picture.

    Attributes:
        pictures: number of posts by the status of the picture.
        f1: lenient F1; for relations, micro-F1 on gold pairs. f1_change: its change.
        strict_f1: strict F1; None for relations. strict_f1_change: its change.
        flipped: fraction of predictions made with only one of the two pictures, of those made with either.
        changed: fraction of predictions with the original picture that are not made under the condition.
        predicted: change of each measure over the predictions (see `condition_results`).
        same_items: change of each measure over the same items.
        share: share of the picture in the score.
        picture: mean uncertainties of the picture's own distribution.
    """

    pictures: Mapping[str, int]
    f1: float
    f1_change: Difference
    strict_f1: float | None
    strict_f1_change: Difference | None
    flipped: Interval
    changed: Interval
    predicted: Mapping[str, Change]
    same_items: Mapping[str, Change]
    share: Change
    picture: Mapping[str, float]


class Check(NamedTuple):
    """The check of a requirement.

    Attributes:
        claim: the requirement.
        holds: whether it holds; None where the data do not decide it.
        metrics: by name, the metrics that decide.
    """

    claim: str
    holds: bool | None
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class RobustnessReport:
    """All metrics, as plain data.

    Attributes:
        posts: N.
        conditions: by name, ``original`` first.
        mismatch_auroc: AUROC of each uncertainty of the picture's own distribution as a detector of
            mismatched pictures, over all pairs of posts; 0.5 is random.
        checks: by name.
    """

    posts: int
    conditions: Mapping[str, ConditionMetrics]
    mismatch_auroc: Mapping[str, Interval]
    checks: Mapping[str, Check]


def robustness_report(
    conditions: Mapping[str, ConditionResults],
    same_as_missing: NDArray[np.bool_],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    least_posts: int = LEAST_POSTS,
) -> RobustnessReport:
    """Compute all metrics and checks.

    Args:
        conditions: results by condition, of the same N posts in the same order.
        same_as_missing: (N,) True where the predictions with a corrupt picture equal those with none.
        resamples: R.
        seed: seed of the resamples.
        least_posts: fewest posts for which the checks of uncertainty and of F1 are decided.
    """
    original = conditions[ORIGINAL]
    few = len(original.status) < least_posts
    found = {name: _condition(results, original, resamples, seed) for name, results in conditions.items()}
    estimated = {
        "uncertainty_never_falls": _never_falls(found),
        "mismatched_picture_f1": _mismatched_picture(conditions, resamples, seed),
    }
    checks = {name: check._replace(holds=None) if few else check for name, check in estimated.items()}
    checks["corrupt_is_missing"] = _corrupt(conditions, same_as_missing)
    return RobustnessReport(len(original.status), found, _mismatch_auroc(conditions, resamples, seed), checks)


# --- metrics -----------------------------------------------------------------------------------------


def _condition(
    results: ConditionResults, original: ConditionResults, resamples: int, seed: int
) -> ConditionMetrics:
    posts = len(results.status)
    resampled = bootstrap_metrics(lambda w: _flips(results.overlap, w), posts, resamples=resamples, seed=seed)
    flips = {
        name: percentile_interval(value, resampled[name])
        for name, value in _flips(results.overlap, np.ones(posts)).items()
    }
    return ConditionMetrics(
        pictures={name: int((results.status == name).sum()) for name in ("read", "none", "unreadable")},
        f1=_f1(results.counts),
        f1_change=_difference(results.counts, original.counts, resamples, seed),
        strict_f1=None if results.strict is None else _f1(results.strict),
        strict_f1_change=_strict_difference(results, original, resamples, seed),
        flipped=flips["flipped"],
        changed=flips["changed"],
        predicted={
            name: _change(results.predicted[name], original.predicted[name], resamples, seed)
            for name in MEASURES
        },
        same_items={
            name: _change(results.same_items[name], original.same_items[name], resamples, seed)
            for name in MEASURES
        },
        share=_change(results.share, original.share, resamples, seed),
        picture={name: _mean(results.picture[name]) for name in UNCERTAINTIES},
    )


def _f1(counts: Counts) -> float:
    return float(mean_f1(counts[None], np.ones((1, counts.shape[1])))[0])


def _difference(here: Counts, there: Counts, resamples: int, seed: int) -> Difference:
    return compare(here[None], there[None], resamples=resamples, seed=seed)


def _strict_difference(
    results: ConditionResults, original: ConditionResults, resamples: int, seed: int
) -> Difference | None:
    if results.strict is None or original.strict is None:
        return None
    return _difference(results.strict, original.strict, resamples, seed)


def _flips(overlap: Counts, weight: Floats) -> dict[str, float]:
    both, only_original, only_here = (overlap @ weight).tolist()
    return {
        "flipped": _ratio(only_original + only_here, both + only_original + only_here),
        "changed": _ratio(only_original, both + only_original),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _change(here: Floats, original: Floats, resamples: int, seed: int) -> Change:
    known = np.isfinite(here) & np.isfinite(original)
    change = (here - original)[known]

    def mean(weights: Floats) -> dict[str, float]:
        w = weights[known]
        return {"mean": _ratio(float(w @ change), float(w.sum()))}

    resampled = bootstrap_metrics(mean, len(original), resamples=resamples, seed=seed)["mean"]
    return Change(_mean(here), percentile_interval(_mean(change), resampled), int(known.sum()))


def _mean(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def _mismatch_auroc(
    conditions: Mapping[str, ConditionResults], resamples: int, seed: int
) -> dict[str, Interval]:
    original, mismatched = conditions[ORIGINAL].picture, conditions[MISMATCHED].picture

    def auroc(weights: Floats) -> dict[str, float]:
        return {name: _auroc(original[name], mismatched[name], weights) for name in UNCERTAINTIES}

    posts = len(conditions[ORIGINAL].status)
    resampled = bootstrap_metrics(auroc, posts, resamples=resamples, seed=seed)
    values = auroc(np.ones(posts))
    return {name: percentile_interval(values[name], resampled[name]) for name in UNCERTAINTIES}


def _auroc(original: Floats, mismatched: Floats, weights: Floats) -> float:
    score = np.concatenate([original, mismatched])
    positive, known = np.arange(len(score)) >= len(original), np.isfinite(score)
    return detection_metrics(score[known], positive[known], np.tile(weights, 2)[known]).auroc


# --- checks ----------------------------------------------------------------------------------------


def _never_falls(found: Mapping[str, ConditionMetrics]) -> Check:
    """On the same items, since an uncertain entity that is no longer predicted would look like a decrease."""
    metrics = {
        f"{measure}, {name}": found[name].same_items[measure].change
        for name in (BLANK, MISMATCHED)
        for measure in UNCERTAINTIES
    }
    return Check(
        "fused uncertainty never falls when a picture is replaced by a blank or a mismatched one "
        "(mean over posts)",
        _falls_nowhere(list(metrics.values())),
        metrics,
    )


def _falls_nowhere(changes: Sequence[Interval]) -> bool | None:
    """False where one falls by more than sampling noise; None where one falls within it, or is nan."""
    values = [change.value for change in changes]
    if not all(map(math.isfinite, values)):
        return None
    if min(values) >= -ROUNDING:
        return True
    return False if any(change.high < -ROUNDING for change in changes) else None


def _mismatched_picture(conditions: Mapping[str, ConditionResults], resamples: int, seed: int) -> Check:
    """Compared with no picture, and with the text alone where posts have alt text."""
    metrics = {}
    for name in (MISSING, TEXT_ONLY):
        if name in conditions:
            gap = _difference(conditions[MISMATCHED].counts, conditions[name].counts, resamples, seed)
            metrics[f"F1, {MISMATCHED} less {name}"] = Interval(gap.value, gap.low, gap.high)
    return Check(
        f"F1 with a mismatched picture >= text-only - {100 * F1_LOSS:g}",
        min(metric.value for metric in metrics.values()) >= -F1_LOSS,
        metrics,
    )


def _corrupt(conditions: Mapping[str, ConditionResults], same_as_missing: NDArray[np.bool_]) -> Check:
    read = conditions[ORIGINAL].status == "read"
    reported = conditions[CORRUPT].status[read] == "unreadable"
    metrics = {"reported unreadable": reported, "same result as missing": same_as_missing}
    return Check(
        "a corrupt picture is reported unreadable and gives exactly the result of a missing one",
        bool(reported.all() and same_as_missing.all()) if read.any() else None,
        {name: Interval(_mean(x.astype(np.float64)), math.nan, math.nan) for name, x in metrics.items()},
    )
