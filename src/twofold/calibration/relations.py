"""Calibration of a relation model on labelled pairs, and the calibrated probabilities of its relations.

Relations are predicted as in use: the arguments of each labelled pair are given, but not which of them is the
head. Of the two directions, the one with the more probable relation is predicted, if it is more probable than
"None" (`twofold.inference.relation_extractor`). A prediction is right if the gold relation is the same, in
the same direction unless it is symmetric. The classes of a pair, in the predicted direction, are all
relations, and "None" for no relation in this direction. What is fitted on which split: see `calibrate`.

Gold pairs leave out errors of the tagger. `evaluate_end_to_end` measures the same confidences on pairs of
entities that a tagger predicts.

This module does not know files.

Shape letters: S predicted relations, K relations of the model, "None" among them: the C classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibrate import REPORTED_ERRORS, CalibrationReport, calibrate
from twofold.calibration.calibration import Calibration
from twofold.calibration.isotonic import apply_isotonic
from twofold.calibration.methods import Method, one_temperature
from twofold.calibration.risk_control import control_risk
from twofold.calibration.splits import SEED, in_tuning_split
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


class RelationPredictions(NamedTuple):
    """Posts with gold relations, and the relations predicted in each.

    Attributes:
        posts: one post for each text, with all its gold relations.
        predicted: predicted relations of each post.
    """

    posts: Sequence[Post]
    predicted: Sequence[Sequence[PredictedRelation]]


def concatenated(data_sets: Mapping[str, RelationPredictions]) -> RelationPredictions:
    """Several data sets as one."""
    every = data_sets.values()
    return RelationPredictions(
        [post for data in every for post in data.posts], [row for data in every for row in data.predicted]
    )


def relation_probabilities(
    calibration: Calibration, labels: Sequence[str], scores: Floats, predicted: Sequence[int] | Integers
) -> Floats:
    """Calibrated probability of each relation for each pair, (S, K); rows sum to 1.

    The probability of the predicted relation is its confidence; the others keep their proportions.

    Args:
        calibration: calibration of the relation model.
        labels: the K relations.
        scores: (S, K); −∞ for excluded relations.
        predicted: (S,) index of the predicted relation of each pair.
    """
    temperatures = np.array([calibration.temperature_of(labels[i]) for i in predicted], np.float64)
    probabilities = class_probabilities(scores, temperatures[:, None])
    if calibration.isotonic:
        apply_isotonic(probabilities, predicted, calibration.isotonic)
    return probabilities


@dataclass(frozen=True, slots=True)
class LabelledRelations:
    """Predicted relations with their labels; see `LabelledPredictions`.

    Attributes:
        classes: the K relations.
        scores: (S, K) in the predicted direction; −∞ for excluded relations.
        predicted: (S,) index of the predicted relation. labels: (S,) of the true one in this direction.
        right: (S,) True where both are the same and, end to end, the arguments are right, too.
        post: (S,) index of the post. posts: number of posts.
    """

    classes: tuple[str, ...]
    scores: Floats
    predicted: Integers
    labels: Integers
    right: Flags
    post: Integers
    posts: int

    def select_posts(self, mask: Flags) -> LabelledRelations:
        """The relations of the posts that ``mask`` (posts,) selects."""
        return replace(self._select(mask[self.post]), posts=int(mask.sum()))

    def of_class(self, number: int) -> LabelledRelations:
        """The predictions of one relation, given its index."""
        return self._select(self.predicted == number)

    def _select(self, mask: Flags) -> LabelledRelations:
        return replace(
            self,
            scores=self.scores[mask],
            predicted=self.predicted[mask],
            labels=self.labels[mask],
            right=self.right[mask],
            post=self.post[mask],
        )

    def confidences(self, calibration: Calibration) -> Floats:
        """Calibrated confidence of each relation, (S,)."""
        return self.probabilities(calibration)[np.arange(len(self.predicted)), self.predicted]

    def probabilities(self, calibration: Calibration) -> Floats:
        """Probability of each class, (S, K), see `relation_probabilities`."""
        return relation_probabilities(calibration, self.classes, self.scores, self.predicted)


def label_relations(
    labels: Sequence[str], data: RelationPredictions, symmetric: Collection[str] = ()
) -> LabelledRelations:
    """Label predicted relations by the gold relations of their posts.

    Predictions are left out where the annotation does not say whether they are right, see
    `relation_error_type`. A gold relation that the model does not know counts as "None".

    Args:
        labels: the K relations.
        data: posts and predicted relations.
        symmetric: relations that hold in both directions.
    """
    rows = [
        (item.prediction.scores, item.prediction.class_index, _label(labels, found, gold), error == RIGHT, i)
        for i, (post, predicted) in enumerate(zip(data.posts, data.predicted, strict=True))
        for gold in [with_reversed(map(to_triple, post.relations or ()), symmetric)]
        for item in predicted
        for found in [to_triple(item.relation)]
        for error in [relation_error_type(found, gold, complete=post.entities is not None)]
        if error is not None and item.prediction is not None
    ]
    scores, *columns = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    predicted, truth, right, post = (np.array(column, np.int64) for column in columns)
    table = np.array(scores, np.float64).reshape(-1, len(labels))
    return LabelledRelations(
        tuple(labels), table, predicted, truth, right.astype(bool), post, len(data.posts)
    )


def _label(labels: Sequence[str], found: Triple, gold: Collection[Triple]) -> int:
    names = {g.relation for g in gold if (g.head[:2], g.tail[:2]) == (found.head[:2], found.tail[:2])}
    known = [i for i, label in enumerate(labels) if label in names - {NO_RELATION}]
    if found.relation in names:
        return labels.index(found.relation)
    return known[0] if known else labels.index(NO_RELATION)


def calibrate_relations(
    labels: Sequence[str],
    data: RelationPredictions,
    *,
    symmetric: Collection[str] = (),
    method: Method = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, CalibrationReport]:
    """Fit a calibration on labelled posts, and measure it.

    Args:
        labels: the K relations.
        data: at least some hundred posts, with the relations predicted for their gold pairs
            (`RelationExtractor.extract_pairs`).
        symmetric: relations that hold in both directions.
        method: one of `methods.METHODS`.
        score: nonconformity score of the prediction sets, one of `conformal.SCORES`.
        seed: seed of the splits; posts with the same text are in the same split.

    Raises:
        DataError: too few relations are predicted.
    """
    labelled = label_relations(labels, data, symmetric)
    texts = split_keys(data.posts)
    return calibrate(labelled, texts, "relations", method=method, score=score, seed=seed)


def split_keys(posts: Sequence[Post]) -> list[str]:
    """Key of each post for the splits: its text, since MNRE has several ids for the same text."""
    return [post.text for post in posts]


@dataclass(frozen=True, slots=True)
class EndToEndReport:
    """Metrics of confidences fitted on gold pairs, where a tagger predicts the arguments.

    Attributes:
        posts: number of posts of the calibration split, which no confidence was fitted on.
        predicted: number of relations predicted in them. annotated: number of those whose label is known.
        metrics: `calibration_metrics` of these; a relation is right only if both arguments are right, too.
        accepted: for each error rate that a threshold guarantees on gold pairs, the number of these that it
            accepts. errors: number of errors among them.
    """

    posts: int
    predicted: int
    annotated: int
    metrics: Mapping[str, float]
    accepted: Mapping[str, int]
    errors: Mapping[str, int]


def evaluate_end_to_end(
    calibration: Calibration,
    labels: Sequence[str],
    data: RelationPredictions,
    *,
    symmetric: Collection[str] = (),
    seed: int = SEED,
) -> EndToEndReport:
    """Measure a calibration on pairs of predicted entities.

    Args:
        calibration: calibration of the relation model, with a risk curve.
        labels: the K relations.
        data: the posts it was fitted on, with the relations predicted between the predicted entities of each.
        symmetric: relations that hold in both directions.
        seed: seed of the splits, the same as in `calibrate_relations`.
    """
    mask = ~in_tuning_split(split_keys(data.posts), seed)
    labelled = label_relations(labels, data, symmetric).select_posts(mask)
    confidences = labelled.confidences(calibration)
    assert calibration.risk_curve is not None
    thresholds = {f"{e:.2f}": control_risk(calibration.risk_curve, e).threshold for e in REPORTED_ERRORS}
    accepted = {name: confidences >= limit for name, limit in thresholds.items() if limit is not None}
    return EndToEndReport(
        labelled.posts,
        sum(len(row) for row, chosen in zip(data.predicted, mask.tolist(), strict=True) if chosen),
        len(confidences),
        calibration_metrics(confidences, labelled.right),
        {name: int(flags.sum()) for name, flags in accepted.items()},
        {name: int((flags & ~labelled.right).sum()) for name, flags in accepted.items()},
    )
