"""Does a model notice that what it reads is not what it was made for?

A measure of doubt is asked to give foreign items (posts of other data, entities never seen) the larger
values: AUROC, AUPR and FPR95 of `detection`, foreign as the positives. Intervals draw posts, predictions with
their posts: those of two data sets apart, so that their sizes stay; those of one post in two forms together.

An item without a value (no entity in the post, no evidence in the model) takes no part in that measure, and
how many did is told: a model that falls silent on foreign posts is not caught by what it says of entities.
It does not know texts, models or files.

Shape letters: N items, P own posts, Q foreign posts, S predictions, R draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.bootstrap import DRAWS, Interval, percentile_interval
from twofold.evaluation.calibration import calibration_error
from twofold.evaluation.detection import detect
from twofold.evaluation.paired_bootstrap import draws as draw_posts
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import measures

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FIGURES = ("auroc", "aupr", "fpr95")


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one measure tells foreign items from one's own.

    Attributes:
        auroc: chance that a foreign item has the larger value; one half is none.
        aupr: average precision with foreign items as what is sought; ``by_chance`` is none.
        fpr95: part of one's own that must be flagged as well to flag 95 % of the foreign.
        by_chance: part of the items that is foreign.
        own: items of one's own that have a value. foreign: likewise.
    """

    auroc: Interval
    aupr: Interval
    fpr95: Interval
    by_chance: float
    own: int
    foreign: int


@dataclass(frozen=True, slots=True)
class Side:
    """How a model fares on one side.

    Attributes:
        items: posts, or predictions.
        found: entities found.
        confidence: their mean confidence.
        accuracy: part of them that is right; nan without labels, as are the next two.
        f1: lenient.
        ece: expected calibration error.
    """

    items: int
    found: int
    confidence: float
    accuracy: float
    f1: float
    ece: float


@dataclass(frozen=True, slots=True)
class Shift:
    """One's own data beside foreign ones.

    Attributes:
        name: of the foreign ones.
        items: ``posts`` or ``entities``: what is told apart.
        own: how the model fares on one's own. foreign: on the others.
        measures: by name, how well it tells.
    """

    name: str
    items: str
    own: Side
    foreign: Side
    measures: Mapping[str, Separation]


def drawn_apart(own: int, foreign: int, draws: int, seed: int) -> Iterator[Floats]:
    """Weights (P + Q,) of each draw, for posts that have nothing to do with each other."""
    both = zip(draw_posts(own, draws, seed), draw_posts(foreign, draws, seed + 1), strict=True)
    return (w for first, second in both for w in np.hstack([first, second]))


def drawn_together(own: int, foreign: int, draws: int, seed: int) -> Iterator[Floats]:
    """The same where the foreign posts are one's own in another form, in their order: P is Q."""
    assert own == foreign
    return (w for group in draw_posts(own, draws, seed) for w in np.hstack([group, group]))


def separate_posts(
    own: Mapping[str, Floats],
    foreign: Mapping[str, Floats],
    *,
    drawn: Callable[[int, int, int, int], Iterator[Floats]] = drawn_apart,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Separation]:
    """Tell posts of two data sets apart by measures that both have.

    Args:
        own: (P,) by measure, larger for less sure; nan for none.
        foreign: (Q,) likewise.
        drawn: `drawn_apart` or `drawn_together`.
        draws: R.
        seed: of the draws.
    """
    names = [name for name in own if name in foreign]
    scores = {name: np.concatenate([own[name], foreign[name]]) for name in names}
    if not scores:
        return {}
    first, second = len(own[names[0]]), len(foreign[names[0]])
    weights = drawn(first, second, draws, seed) if first and second else ()
    return _separations(scores, np.arange(first + second) >= first, weights)


def separate_predictions(
    predictions: Predictions, foreign: Flags, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Separation]:
    """Tell some of the predictions from the others, by every measure there is.

    Args:
        predictions: S.
        foreign: (S,) True for those to be told.
        draws: R.
        seed: of the draws.
    """
    p = predictions
    drawn = draw_posts(p.posts, draws, seed) if p.posts else ()
    return _separations(measures(p), foreign, (w[p.post] for group in drawn for w in group))


def side(predictions: Predictions, items: int, labelled: bool) -> Side:
    """How a model fares; without labels ``kind`` and ``missed_type`` of the predictions are not looked at."""
    p, found = predictions, len(predictions.confidence)
    mean, right = (float(x.mean()) if found else np.nan for x in (p.confidence, p.right))
    if not labelled:
        return Side(items, found, mean, np.nan, np.nan, np.nan)
    total = found + p.gold
    f1 = 2 * int(p.right.sum()) / total if total else np.nan
    return Side(items, found, mean, right, f1, calibration_error(p.confidence, p.right))


def _separations(
    scores: Mapping[str, Floats], foreign: Flags, weights: Iterable[Floats]
) -> dict[str, Separation]:
    """Of scores (N,) by measure, with one row of weights (N,) a draw."""
    known = {name: np.isfinite(score) for name, score in scores.items()}
    drawn = {name: np.full((0, len(FIGURES)), np.nan) for name in scores}
    rows = [
        [
            detect(score[known[name]], foreign[known[name]], w[known[name]])[:3]
            for name, score in scores.items()
        ]
        for w in weights
    ]
    if rows:
        drawn = {name: np.array([row[i] for row in rows]) for i, name in enumerate(scores)}
    return {
        name: _separation(score[known[name]], foreign[known[name]], drawn[name])
        for name, score in scores.items()
    }


def _separation(score: Floats, foreign: Flags, drawn: Floats) -> Separation:
    found = detect(score, foreign)
    auroc, aupr, fpr95 = (percentile_interval(found[i], drawn[:, i]) for i in range(len(FIGURES)))
    chance = float(foreign.mean()) if len(foreign) else np.nan
    return Separation(auroc, aupr, fpr95, chance, int((~foreign).sum()), int(foreign.sum()))
