"""What wrong, spoiled and missing pictures do to predictions: figures, and what is required of them.

Everything is compared with the same posts and their own pictures. Intervals draw posts, and the same ones for
both sides. It does not know models or pictures.

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
from twofold.robustness.condition_results import MEASURES, SPREADS, Counts, Stand

Floats = NDArray[np.float64]

OWN, SWAPPED, BLANK, MISSING, CORRUPT, TEXT = "own", "swapped", "blank", "missing", "corrupt", "text"
F1_LOSS = 0.005
"""F1 that a wrong picture may cost against no picture."""
NOISE = 1e-9
"""What rounding may take from a mean that did not change."""


class Change(NamedTuple):
    """A measure under a condition, mean over posts.

    Attributes:
        value: its mean.
        change: its mean change from the own picture, in posts that have it both times.
        posts: how many those are.
    """

    value: float
    change: Interval
    posts: int


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """One condition against the own picture.

    Attributes:
        pictures: posts by what became of the picture.
        f1: lenient; of relations micro-F1 of given pairs. f1_change: its change.
        strict_f1: strict; None for relations. strict_f1_change: its change.
        flipped: predictions made with one of the two pictures only, of those made with either.
        changed: predictions of the own picture that are not made here, of all of those.
        found: change of each measure, of what was predicted (see `stands`).
        asked: change of each measure, of the same questions.
        share: part of the evidence that came from the picture.
        picture: mean uncertainties of the picture's own distribution.
    """

    pictures: Mapping[str, int]
    f1: float
    f1_change: Difference
    strict_f1: float | None
    strict_f1_change: Difference | None
    flipped: Interval
    changed: Interval
    found: Mapping[str, Change]
    asked: Mapping[str, Change]
    share: Change
    picture: Mapping[str, float]


class Verdict(NamedTuple):
    """Something that is required.

    Attributes:
        claim: what.
        holds: whether it is so; None where it cannot be told.
        figures: by name, what it was judged by.
    """

    claim: str
    holds: bool | None
    figures: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """All figures, as plain data.

    Attributes:
        posts: N.
        conditions: by name, ``own`` first.
        told_apart: AUROC by uncertainty of the picture's own distribution: how often another's picture gets
            the larger value than a post's own, over all pairs of posts; 0.5 is a coin.
        verdicts: by name.
    """

    posts: int
    conditions: Mapping[str, ConditionFigures]
    told_apart: Mapping[str, Interval]
    verdicts: Mapping[str, Verdict]


def witness_report(
    stands: Mapping[str, Stand], alike: NDArray[np.bool_], *, draws: int = RESAMPLES, seed: int = 0
) -> WitnessReport:
    """Compute everything.

    Args:
        stands: by condition, of the same N posts in the same order.
        alike: (N,) True where the same was said with a corrupt picture as with none.
        draws: R.
        seed: of the draws.
    """
    own = stands[OWN]
    found = {name: _condition(stand, own, draws, seed) for name, stand in stands.items()}
    verdicts = {
        "uncertainty_never_falls": _never_falls(found),
        "wrong_picture_f1": _wrong_picture(stands, draws, seed),
        "corrupt_is_missing": _corrupt(stands, alike),
    }
    return WitnessReport(len(own.status), found, _told_apart(stands, draws, seed), verdicts)


# --- figures -----------------------------------------------------------------------------------------


def _condition(stand: Stand, own: Stand, draws: int, seed: int) -> ConditionFigures:
    posts = len(stand.status)
    drawn = bootstrap_metrics(lambda w: _flips(stand.overlap, w), posts, resamples=draws, seed=seed)
    flips = {
        name: percentile_interval(value, drawn[name])
        for name, value in _flips(stand.overlap, np.ones(posts)).items()
    }
    return ConditionFigures(
        pictures={name: int((stand.status == name).sum()) for name in ("read", "none", "unreadable")},
        f1=_f1(stand.counts),
        f1_change=_difference(stand.counts, own.counts, draws, seed),
        strict_f1=None if stand.strict is None else _f1(stand.strict),
        strict_f1_change=_strictly(stand, own, draws, seed),
        flipped=flips["flipped"],
        changed=flips["changed"],
        found={name: _change(stand.found[name], own.found[name], draws, seed) for name in MEASURES},
        asked={name: _change(stand.asked[name], own.asked[name], draws, seed) for name in MEASURES},
        share=_change(stand.share, own.share, draws, seed),
        picture={name: _mean(stand.picture[name]) for name in SPREADS},
    )


def _f1(counts: Counts) -> float:
    return float(mean_f1(counts[None], np.ones((1, counts.shape[1])))[0])


def _difference(here: Counts, there: Counts, draws: int, seed: int) -> Difference:
    return compare(here[None], there[None], resamples=draws, seed=seed)


def _strictly(stand: Stand, own: Stand, draws: int, seed: int) -> Difference | None:
    if stand.strict is None or own.strict is None:
        return None
    return _difference(stand.strict, own.strict, draws, seed)


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


def _told_apart(stands: Mapping[str, Stand], draws: int, seed: int) -> dict[str, Interval]:
    own, other = stands[OWN].picture, stands[SWAPPED].picture

    def figures(weights: Floats) -> dict[str, float]:
        return {name: _auroc(own[name], other[name], weights) for name in SPREADS}

    posts = len(stands[OWN].status)
    drawn = bootstrap_metrics(figures, posts, resamples=draws, seed=seed)
    values = figures(np.ones(posts))
    return {name: percentile_interval(values[name], drawn[name]) for name in SPREADS}


def _auroc(own: Floats, other: Floats, weights: Floats) -> float:
    score, foreign = np.concatenate([own, other]), np.arange(2 * len(own)) >= len(own)
    known = np.isfinite(score)
    return detection_metrics(score[known], foreign[known], np.tile(weights, 2)[known]).auroc


# --- verdicts ----------------------------------------------------------------------------------------


def _never_falls(found: Mapping[str, ConditionFigures]) -> Verdict:
    """Judged by the same questions: that a doubtful entity is no longer found would pass for less doubt."""
    figures = {
        f"{measure}, {name}": found[name].asked[measure].change
        for name in (BLANK, SWAPPED)
        for measure in SPREADS
    }
    return Verdict(
        "fused uncertainty never falls when a picture is replaced by a blank or another post's "
        "(mean over posts)",
        _falls_nowhere(list(figures.values())),
        figures,
    )


def _falls_nowhere(changes: Sequence[Interval]) -> bool | None:
    """False where one falls by more than the draw of posts explains; None where one may have."""
    values = [change.value for change in changes]
    if not all(map(math.isfinite, values)):
        return None
    if min(values) >= -NOISE:
        return True
    return False if any(change.high < -NOISE for change in changes) else None


def _wrong_picture(stands: Mapping[str, Stand], draws: int, seed: int) -> Verdict:
    """Against no picture, and against the text alone where there was an alt text besides."""
    figures = {}
    for name in (MISSING, TEXT):
        if name in stands:
            gap = _difference(stands[SWAPPED].counts, stands[name].counts, draws, seed)
            figures[f"F1, swapped less {name}"] = Interval(gap.value, gap.low, gap.high)
    return Verdict(
        f"F1 with a wrong picture >= text-only - {100 * F1_LOSS:g}",
        min(figure.value for figure in figures.values()) >= -F1_LOSS,
        figures,
    )


def _corrupt(stands: Mapping[str, Stand], alike: NDArray[np.bool_]) -> Verdict:
    looked = stands[OWN].status == "read"
    told = stands[CORRUPT].status[looked] == "unreadable"
    figures = {"reported unreadable": told, "same result as missing": alike}
    return Verdict(
        "a corrupt picture is reported unreadable and gives exactly the result of a missing one",
        bool(told.all() and alike.all()) if looked.any() else None,
        {name: Interval(_mean(x.astype(np.float64)), math.nan, math.nan) for name, x in figures.items()},
    )
