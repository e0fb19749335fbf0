"""Statistics of the decisions so far: error rate, error at each threshold, missed entities, agreement.

The most uncertain posts come first, so the error rate among reviewed predictions is that of hard cases, not
that of all. The estimate at a threshold takes this into account: reviewed predictions count as decided, and
for the rest the model's probabilities are corrected by one shift on the logit scale, the posterior mode under
a standard normal prior given the decisions. Which predictions are decided depends on the confidence alone, so
the estimate of the shift is unbiased as long as the shift is the same at every confidence. The module works
on arrays and reviews only.

Shape letters: S predictions, J thresholds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.binomial import clopper_pearson_upper
from twofold.review.decisions import ACCEPT, CORRECT, REJECT, Confidences, PostReview, spans

Floats = NDArray[np.float64]
LEVEL = 0.95
"""Level of every interval."""
THRESHOLDS = tuple(i / 20 for i in range(20))
_CLIP = 1e-6
_STEPS = 50


class Items(NamedTuple):
    """S predictions of one kind.

    Attributes:
        confidence: (S,).
        wrong: (S,) 0 for right, 1 for wrong, a fraction where reviewers differ; NaN if not reviewed.
    """

    confidence: Floats
    wrong: Floats


class Rate(NamedTuple):
    """A rate with a 95 % interval.

    Attributes:
        value: in [0, 1]; NaN without predictions. low: of the interval. high: likewise.
    """

    value: float
    low: float
    high: float


class ThresholdEstimate(NamedTuple):
    """The predictions that would be accepted at a threshold, and their error rate.

    Attributes:
        threshold: lowest confidence that is accepted.
        accepted: predictions. reviewed: of these. wrong: of those reviewed.
        claimed: error rate by the confidences. error: estimated error rate, with its interval.
    """

    threshold: float
    accepted: int
    reviewed: int
    wrong: float
    claimed: float
    error: Rate


class Agreement(NamedTuple):
    """Agreement on posts that several reviewers finished.

    Attributes:
        posts: with two reviewers or more. same: of these, with the same entities from all.
        f1: between the entities of two reviewers, over all pairs of them; NaN without an entity.
    """

    posts: int
    same: int
    f1: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """All statistics of a review.

    Attributes:
        entities: estimates of the entities at each threshold. relations: likewise.
        entity_error: among the entities reviewed. relation_error: likewise.
        answers: how many entities were accepted, corrected, rejected.
        missed: entities that were added, on the ``finished`` posts.
        finished: posts that at least one reviewer finished.
        agreement: of the reviewers.
    """

    entities: tuple[ThresholdEstimate, ...]
    relations: tuple[ThresholdEstimate, ...]
    entity_error: Rate
    relation_error: Rate
    answers: dict[str, int]
    missed: int
    finished: int
    agreement: Agreement


def statistics(posts: Iterable[Confidences], reviews: Mapping[int, Mapping[str, PostReview]]) -> Statistics:
    """All statistics of a review.

    Args:
        posts: confidences of all posts of the queue.
        reviews: of each reviewer, by post and reviewer.
    """
    posts = list(posts)
    entities, relations = _items("entities", posts, reviews), _items("relations", posts, reviews)
    flat = [review for of_post in reviews.values() for review in of_post.values()]
    answers = [item.answer for review in flat for item in review.entities if item.predicted]
    finished = [review for review in flat if review.status == "finished"]
    return Statistics(
        entities=tuple(threshold_estimates(entities)),
        relations=tuple(threshold_estimates(relations)),
        entity_error=_rate_of(entities),
        relation_error=_rate_of(relations),
        answers={name: answers.count(name) for name in (ACCEPT, CORRECT, REJECT)},
        missed=sum(item.predicted is None and item.answer != REJECT for r in finished for item in r.entities),
        finished=sum(any(r.status == "finished" for r in row.values()) for row in reviews.values()),
        agreement=agreement(reviews),
    )


def _items(kind: str, posts: Sequence[Confidences], reviews: Mapping[int, Mapping[str, PostReview]]) -> Items:
    rows = [
        (confidence, _mean_wrong([getattr(review, kind)[i].answer for review in of_post]))
        for post in posts
        for of_post in [reviews.get(post.number, {}).values()]
        for i, confidence in enumerate(getattr(post, kind))
        if confidence is not None
    ]
    return Items(*np.array(rows, np.float64).reshape(-1, 2).T)


def _mean_wrong(answers: Sequence[str | None]) -> float:
    wrong = [answer != ACCEPT for answer in answers if answer is not None]
    return sum(wrong) / len(wrong) if wrong else float("nan")


def rate(wrong: float, count: float) -> Rate:
    """An error rate with its Clopper–Pearson interval; (NaN, 0, 1) without predictions.

    Args:
        wrong: number wrong, a fraction where reviewers differ. count: number of predictions.
    """
    if not count:
        return Rate(float("nan"), 0.0, 1.0)
    side = 1 - (1 - LEVEL) / 2
    low = 1 - clopper_pearson_upper(count - wrong, count, side)
    return Rate(wrong / count, low, clopper_pearson_upper(wrong, count, side))


def _rate_of(items: Items) -> Rate:
    known = items.wrong[~np.isnan(items.wrong)]
    return rate(float(known.sum()), len(known))


def threshold_estimates(
    items: Items, thresholds: Sequence[float] = THRESHOLDS
) -> Iterable[ThresholdEstimate]:
    """The estimate at each threshold; see the module's docstring."""
    known = ~np.isnan(items.wrong)
    p = np.clip(items.confidence, _CLIP, 1 - _CLIP)
    logit = np.log(p) - np.log1p(-p)
    shift, variance = logit_shift(logit[known], items.wrong[known])
    wrong = 1 / (1 + np.exp(logit + shift))
    variances = wrong * (1 - wrong)
    for threshold in thresholds:
        above = items.confidence >= threshold
        accepted, reviewed = int(above.sum()), int((above & known).sum())
        seen, rest = float(items.wrong[above & known].sum()), above & ~known
        if not accepted:
            yield ThresholdEstimate(threshold, 0, 0, 0.0, float("nan"), rate(0, 0))
            continue
        expected = seen + float(wrong[rest].sum())
        deviation = float(np.sqrt(variances[rest].sum() + variances[rest].sum() ** 2 * variance))
        low, high = (expected + sign * 1.96 * deviation for sign in (-1, 1))
        least, most = seen / accepted, (seen + float(rest.sum())) / accepted
        estimate = Rate(expected / accepted, max(low / accepted, least, 0.0), min(high / accepted, most, 1.0))
        claimed = float((1 - items.confidence[above]).mean())
        yield ThresholdEstimate(threshold, accepted, reviewed, seen, claimed, estimate)


def logit_shift(logit: Floats, wrong: Floats) -> tuple[float, float]:
    """The shift that calibrates the confidences on the logit scale; above 0 they are too low.

    Args:
        logit: (S,) of the confidences. wrong: (S,) as in `Items`, without NaN.

    Returns:
        Mode of the posterior under a standard normal prior, and its variance by the curvature at the mode.
    """
    shift, right = 0.0, 1 - wrong
    for _ in range(_STEPS):  # concave, so Newton's steps, limited to 1, converge
        p = 1 / (1 + np.exp(-(logit + shift)))
        gradient, curvature = float((right - p).sum()) - shift, float((p * (1 - p)).sum()) + 1
        step = float(np.clip(gradient / curvature, -1, 1))
        shift += step
        if abs(step) < 1e-9:
            break
    p = 1 / (1 + np.exp(-(logit + shift)))
    return shift, 1 / (float((p * (1 - p)).sum()) + 1)


def agreement(reviews: Mapping[int, Mapping[str, PostReview]]) -> Agreement:
    """How far reviewers agree on the entities of posts that several of them finished."""
    posts = same = common = total = 0
    for of_post in reviews.values():
        results = [spans(review) for review in of_post.values() if review.status == "finished"]
        if len(results) < 2:
            continue
        posts += 1
        same += len(set(results)) == 1
        for one, other in itertools.combinations(results, 2):
            common += 2 * len(one & other)
            total += len(one) + len(other)
    return Agreement(posts, same, common / total if total else float("nan"))
