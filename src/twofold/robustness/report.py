"""What mismatched, perturbed and missing pictures do to predictions: metrics, and checks of what is required.

Everything is compared with the same posts and their original pictures. Intervals are of a bootstrap over
posts, the same posts for both sides. It does not know models or pictures.

Shape letters: N posts, R draws.
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
"""F1 that a mismatched picture may cost against no picture."""
LEAST_POSTS = 30
"""With fewer posts nothing is said of whether what is estimated from them holds."""
NOISE = 1e-9
"""What rounding may take from a mean that did not change."""


class Change(NamedTuple):
    """A measure under a condition, mean over posts.

    Attributes:
        value: its mean.
        change: its mean change from the original picture, in posts that have it both times.
        posts: how many those are.
    """

    value: float
    change: Interval
    posts: int


@dataclass(frozen=True, slots=True)
class ConditionMetrics:
    """One condition against the original picture.

    Attributes:
        pictures: posts by the status of the picture.
        f1: lenient; of relations micro-F1 of gold pairs. f1_change: its change.
        strict_f1: strict; None for relations. strict_f1_change: its change.
        flipped: predictions made with one of the two pictures only, of those made with either.
        changed: predictions with the original picture that are not made here, of all of those.
        predicted: change of each measure, of what is predicted (see `condition_results`).
        same_items: change of each measure, of the same items.
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
    """A requirement.

    Attributes:
        claim: what is required.
        holds: whether it holds; None where the data do not show it.
        metrics: by name, what decides.
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
            mismatched pictures, over all pairs of posts; 0.5 is no better than chance.
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
    draws: int = RESAMPLES,
    seed: int = 0,
    least_posts: int = LEAST_POSTS,
) -> RobustnessReport:
    """Compute everything.

    Args:
        conditions: by condition, of the same N posts in the same order.
        same_as_missing: (N,) True where the predictions with a corrupt picture equal those with none.
        draws: R.
        seed: of the draws.
        least_posts: fewest posts with which the checks of means and of F1 are decided.
    """
    own = conditions[ORIGINAL]
    few = len(own.status) < least_posts
    found = {name: _condition(results, own, draws, seed) for name, results in conditions.items()}
    estimated = {
        "uncertainty_never_falls": _never_falls(found),
        "mismatched_picture_f1": _mismatched_picture(conditions, draws, seed),
    }
    checks = {name: check._replace(holds=None) if few else check for name, check in estimated.items()}
    checks["corrupt_is_missing"] = _corrupt(conditions, same_as_missing)
    return RobustnessReport(len(own.status), found, _mismatch_auroc(conditions, draws, seed), checks)


# --- metrics -----------------------------------------------------------------------------------------


def _condition(results: ConditionResults, own: ConditionResults, draws: int, seed: int) -> ConditionMetrics:
    posts = len(results.status)
    drawn = bootstrap_metrics(lambda w: _flips(results.overlap, w), posts, resamples=draws, seed=seed)
    flips = {
        name: percentile_interval(value, drawn[name])
        for name, value in _flips(results.overlap, np.ones(posts)).items()
    }
    return ConditionMetrics(
        pictures={name: int((results.status == name).sum()) for name in ("read", "none", "unreadable")},
        f1=_f1(results.counts),
        f1_change=_difference(results.counts, own.counts, draws, seed),
        strict_f1=None if results.strict is None else _f1(results.strict),
        strict_f1_change=_strictly(results, own, draws, seed),
        flipped=flips["flipped"],
        changed=flips["changed"],
        predicted={
            name: _change(results.predicted[name], own.predicted[name], draws, seed) for name in MEASURES
        },
        same_items={
            name: _change(results.same_items[name], own.same_items[name], draws, seed) for name in MEASURES
        },
        share=_change(results.share, own.share, draws, seed),
        picture={name: _mean(results.picture[name]) for name in UNCERTAINTIES},
    )


def _f1(counts: Counts) -> float:
    return float(mean_f1(counts[None], np.ones((1, counts.shape[1])))[0])


def _difference(here: Counts, there: Counts, draws: int, seed: int) -> Difference:
    return compare(here[None], there[None], resamples=draws, seed=seed)


def _strictly(results: ConditionResults, own: ConditionResults, draws: int, seed: int) -> Difference | None:
    if results.strict is None or own.strict is None:
        return None
    return _difference(results.strict, own.strict, draws, seed)


def _flips(overlap: Counts, weight: Floats) -> dict[str, float]:
    both, only_own, only_here = (overlap @ weight).tolist()
    return {
        "flipped": _part(only_own + only_here, both + only_own + only_here),
        "changed": _part(only_own, both + only_own),
    }


def _part(some: float, all_: float) -> float:
    return some / all_ if all_ else math.nan


def _change(here: Floats, own: Floats, draws: int, seed: int) -> Change:
    known = np.isfinite(here) & np.isfinite(own)
    change = (here - own)[known]

    def mean(weights: Floats) -> dict[str, float]:
        w = weights[known]
        return {"mean": _part(float(w @ change), float(w.sum()))}

    drawn = bootstrap_metrics(mean, len(own), resamples=draws, seed=seed)["mean"]
    return Change(_mean(here), percentile_interval(_mean(change), drawn), int(known.sum()))


def _mean(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def _mismatch_auroc(conditions: Mapping[str, ConditionResults], draws: int, seed: int) -> dict[str, Interval]:
    own, other = conditions[ORIGINAL].picture, conditions[MISMATCHED].picture

    def auroc(weights: Floats) -> dict[str, float]:
        return {name: _auroc(own[name], other[name], weights) for name in UNCERTAINTIES}

    posts = len(conditions[ORIGINAL].status)
    drawn = bootstrap_metrics(auroc, posts, resamples=draws, seed=seed)
    values = auroc(np.ones(posts))
    return {name: percentile_interval(values[name], drawn[name]) for name in UNCERTAINTIES}


def _auroc(own: Floats, other: Floats, weights: Floats) -> float:
    score, foreign = np.concatenate([own, other]), np.arange(2 * len(own)) >= len(own)
    known = np.isfinite(score)
    return detection_metrics(score[known], foreign[known], np.tile(weights, 2)[known]).auroc


# --- checks ----------------------------------------------------------------------------------------


def _never_falls(found: Mapping[str, ConditionMetrics]) -> Check:
    """On the same items: that an uncertain entity is no longer predicted would pass for less uncertainty."""
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
    """False where one falls by more than sampling noise explains; None where one may have."""
    values = [change.value for change in changes]
    if not all(map(math.isfinite, values)):
        return None
    if min(values) >= -NOISE:
        return True
    return False if any(change.high < -NOISE for change in changes) else None


def _mismatched_picture(conditions: Mapping[str, ConditionResults], draws: int, seed: int) -> Check:
    """Against no picture, and against the text alone where there was an alt text besides."""
    metrics = {}
    for name in (MISSING, TEXT_ONLY):
        if name in conditions:
            gap = _difference(conditions[MISMATCHED].counts, conditions[name].counts, draws, seed)
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
