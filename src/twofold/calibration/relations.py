"""Calibration of a relation model on labelled pairs, and what it says of each relation then.

What is calibrated is what is told in use: the ends of each labelled pair are given, which of them is the head
is not; of both orders the one is told whose relation is more probable, if any is more probable than "None"
(`twofold.inference.relation_extractor`). It is right where the labelled relation is the same, from the same
end unless it holds both ways. The answers for a pair, from the end that was taken for the head, are all
relations, and "None" for none in this direction. What is fitted and on which half: see `fitting`.

Given pairs say nothing of doubt about the entities. `end_to_end` measures what the same confidences are worth
between entities that a tagger finds.

It does not know files.

Shape letters: S relations told, K relations that there are, "None" among them: the C answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import Calibration
from twofold.calibration.methods import ERRORS, Measured, Method, calibrate, one_temperature, put_calibrated
from twofold.calibration.risk_control import control
from twofold.calibration.splits import SEED, first_half
from twofold.evaluation.calibration_error import calibration_metrics
from twofold.evaluation.error_types import RIGHT, relation_error_type
from twofold.evaluation.triples import Triple, to_triple, with_reversed
from twofold.inference.relation_classifier import class_probabilities
from twofold.inference.relation_extractor import PredictedRelation
from twofold.model_folder.config import NO_RELATION
from twofold.posts import Post

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


def relation_chances(
    calibration: Calibration, labels: Sequence[str], scores: Floats, found: Sequence[int] | Integers
) -> Floats:
    """Calibrated probability of each relation for each pair, (S, K); rows sum to 1.

    That of the relation found is the confidence; the others keep their proportions.

    Args:
        calibration: of the relation model.
        labels: the K relations.
        scores: (S, K); −∞ for those that do not compete.
        found: (S,) number of the relation each pair is taken for.
    """
    heats = np.array([calibration.temperature_of(labels[i]) for i in found], np.float64)
    chances = class_probabilities(scores, heats[:, None])
    if calibration.isotonic:
        put_calibrated(chances, found, calibration.isotonic)
    return chances


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Relations told of some posts, and the truth; see `fitting.Labelled`.

    Attributes:
        answers: the K relations.
        scores: (S, K) in the order that was told; −∞ for those that did not compete.
        found: (S,) number of the relation told. truth: (S,) of the true one in this order.
        right: (S,) True where it is the same; end to end where the ends are right, too.
        post: (S,) number of the post. posts: how many there are.
    """

    answers: tuple[str, ...]
    scores: Floats
    found: Integers
    truth: Integers
    right: Flags
    post: Integers
    posts: int

    def part(self, chosen: Flags) -> LabelledPairs:
        """Some of the posts."""
        return replace(self._only(chosen[self.post]), posts=int(chosen.sum()))

    def of_answer(self, number: int) -> LabelledPairs:
        """What was told to stand in one relation."""
        return self._only(self.found == number)

    def _only(self, mine: Flags) -> LabelledPairs:
        return replace(
            self,
            scores=self.scores[mine],
            found=self.found[mine],
            truth=self.truth[mine],
            right=self.right[mine],
            post=self.post[mine],
        )

    def confidences(self, calibration: Calibration) -> Floats:
        """(S,)."""
        return self.chances(calibration)[np.arange(len(self.found)), self.found]

    def chances(self, calibration: Calibration) -> Floats:
        """(S, K), see `relation_chances`."""
        return relation_chances(calibration, self.answers, self.scores, self.found)


def labelled_pairs(
    labels: Sequence[str],
    posts: Sequence[Post],
    predicted: Sequence[Sequence[PredictedRelation]],
    symmetric: Collection[str] = (),
) -> LabelledPairs:
    """Look up the truth of relations told.

    Left out is what nobody can judge, see `relation_error_type`. A true relation that the model does not know
    counts as "None": none of those that it knows.

    Args:
        labels: the K relations.
        posts: with their gold relations.
        predicted: told of each post.
        symmetric: relations that hold both ways.
    """
    rows = [
        (
            item.prediction.scores,
            item.prediction.class_index,
            _truth(labels, found, gold),
            kind == RIGHT,
            number,
        )
        for number, (post, told) in enumerate(zip(posts, predicted, strict=True))
        for gold in [with_reversed(map(to_triple, post.relations or ()), symmetric)]
        for item in told
        for found in [to_triple(item.relation)]
        for kind in [relation_error_type(found, gold, complete=post.entities is not None)]
        if kind is not None and item.prediction is not None
    ]
    scores, *numbers = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    found, truth, right, post = (np.array(column, np.int64) for column in numbers)
    table = np.array(scores, np.float64).reshape(-1, len(labels))
    return LabelledPairs(tuple(labels), table, found, truth, right.astype(bool), post, len(posts))


def _truth(labels: Sequence[str], found: Triple, gold: Collection[Triple]) -> int:
    names = {g.relation for g in gold if (g.head[:2], g.tail[:2]) == (found.head[:2], found.tail[:2])}
    known = [i for i, label in enumerate(labels) if label in names - {NO_RELATION}]
    if found.relation in names:
        return labels.index(found.relation)
    return known[0] if known else labels.index(NO_RELATION)


def calibrate_relations(
    labels: Sequence[str],
    posts: Sequence[Post],
    predicted: Sequence[Sequence[PredictedRelation]],
    *,
    symmetric: Collection[str] = (),
    method: Method = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, Measured]:
    """Fit everything on labelled posts, and measure it.

    Args:
        labels: the K relations.
        posts: with gold relations, some hundreds at least; all that is known of a text in one post.
        predicted: what is told of the given pairs of each, `RelationExtractor.extract_pairs`.
        symmetric: relations that hold both ways.
        method: one of `fitting.METHODS`.
        score: of the sets, see `conformal.SCORES`.
        seed: of the halves; posts of the same text fall into one.

    Raises:
        DataError: too little is found in them.
    """
    data = labelled_pairs(labels, posts, predicted, symmetric)
    return calibrate(data, apart(posts), "relations", method=method, score=score, seed=seed)


def apart(posts: Sequence[Post]) -> list[str]:
    """What tells posts apart: in files such as MNRE's each line has an id of its own, also of one text."""
    return [post.text for post in posts]


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What confidences fitted on given pairs are worth where a tagger finds the ends.

    Attributes:
        posts: of the second half, which no confidence was fitted on.
        told: relations told in them. judged: those whose truth is known.
        figures: of these, see `calibration_metrics`; right means that both ends are, too.
        kept: by part that may be wrong, where a threshold is promised for given pairs: how many of these it
            keeps. wrong: how many of those are wrong.
    """

    posts: int
    told: int
    judged: int
    figures: Mapping[str, float]
    kept: Mapping[str, int]
    wrong: Mapping[str, int]


def end_to_end(
    calibration: Calibration,
    labels: Sequence[str],
    posts: Sequence[Post],
    predicted: Sequence[Sequence[PredictedRelation]],
    *,
    symmetric: Collection[str] = (),
    seed: int = SEED,
) -> EndToEnd:
    """Measure.

    Args:
        calibration: of the relation model, with thresholds.
        labels: the K relations.
        posts: with gold relations, the same as it was fitted on.
        predicted: what is told between the entities found in each.
        symmetric: relations that hold both ways.
        seed: of the halves, the same likewise.
    """
    second = ~first_half(apart(posts), seed)
    data = labelled_pairs(labels, posts, predicted, symmetric).part(second)
    sure = data.confidences(calibration)
    assert calibration.risk is not None
    limits = {f"{error:.2f}": control(calibration.risk, error).threshold for error in ERRORS}
    keeps = {name: sure >= limit for name, limit in limits.items() if limit is not None}
    return EndToEnd(
        data.posts,
        sum(len(row) for row, mine in zip(predicted, second.tolist(), strict=True) if mine),
        len(sure),
        calibration_metrics(sure, data.right),
        {name: int(kept.sum()) for name, kept in keeps.items()},
        {name: int((kept & ~data.right).sum()) for name, kept in keeps.items()},
    )
