"""What a model card says of trust, data set by data set, beside what was fitted on all of them together.

Calibration before and after, risk against coverage and detection of errors are measured on the half of the
posts that confidences were not fitted on; sets on the other, where their lines are unknown.

It does not know files or cards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from twofold.calibration.calibration import Calibration
from twofold.calibration.conformal import SetFigures, set_figures
from twofold.calibration.entities import labelled, span_confidences
from twofold.calibration.methods import LEVELS, Labelled, answer_sets
from twofold.calibration.relations import apart, labelled_pairs, relation_chances
from twofold.calibration.splits import SEED, first_half
from twofold.calibration.uncalibrated import uncalibrated
from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import ALL, trust_report
from twofold.inference.encode import EncodedPost
from twofold.inference.relation_classifier import ClassPrediction
from twofold.inference.relation_extractor import PredictedRelation
from twofold.inference.tagger import Tagger
from twofold.posts import Post


@dataclass(frozen=True, slots=True)
class DataFigures:
    """Of one data set.

    Attributes:
        posts: in the half that confidences were fitted on, and in the other.
        found: predictions in the other. right: of these. missed: gold that none of these is.
        before: figures of their confidences at temperature 1 (`calibration_metrics`); None where unknown.
        after: as calibrated.
        ece_if_calibrated: what ``ece`` would be of exact confidences.
        kept: risk against coverage, see `evaluation.trust.SelectiveMetrics`.
        errors: AUROC by measure of uncertainty, errors against right predictions.
        sets: sets on the first half, for each of `LEVELS`.
    """

    posts: tuple[int, int]
    found: int
    right: int
    missed: int
    before: Mapping[str, Interval] | None
    after: Mapping[str, Interval]
    ece_if_calibrated: float
    kept: Mapping[str, Interval]
    errors: Mapping[str, Interval]
    sets: Mapping[str, SetFigures]


def data_figures(first: Labelled, tested: Predictions, calibration: Calibration) -> DataFigures:
    """Measure, whatever was predicted.

    Args:
        first: predictions on the half that confidences were fitted on.
        tested: predictions on the other half, with calibrated confidences.
        calibration: fitted on these halves, of all data sets.
    """
    report = trust_report(tested)
    now = report.calibration[ALL]
    return DataFigures(
        posts=(first.posts, tested.posts),
        found=now.predictions,
        right=now.right,
        missed=now.missed,
        before=report.uncalibrated.calibration[ALL].metrics if report.uncalibrated else None,
        after=now.metrics,
        ece_if_calibrated=now.ece_if_calibrated,
        kept=report.selective.metrics,
        errors=report.error_auroc,
        sets=_sets(first, calibration),
    )


def _sets(first: Labelled, calibration: Calibration) -> dict[str, SetFigures]:
    if calibration.sets is None or not len(first.found):
        return {}
    lines, chances = calibration.sets, first.chances(calibration)
    return {
        f"{level:.2f}": set_figures(answer_sets(lines, chances, first.found, level), first.truth)
        for level in LEVELS
    }


def entity_figures(
    tagger: Tagger, groups: Mapping[str, Sequence[EncodedPost]], calibration: Calibration, seed: int = SEED
) -> dict[str, DataFigures]:
    """Figures of a tagger on each data set.

    Args:
        tagger: that read the posts; its own calibration is not looked at.
        groups: readings of labelled posts by data set.
        calibration: fitted on all of them.
        seed: of the halves.
    """
    figures = {}
    for name, readings in groups.items():
        halves = first_half([reading.post.id for reading in readings], seed)
        other = [readings[i] for i in np.flatnonzero(~halves).tolist()]
        first = labelled(tagger.decoder, readings).part(halves)
        figures[name] = data_figures(first, entity_predictions(tagger, other, calibration), calibration)
    return figures


def entity_predictions(
    tagger: Tagger, readings: Sequence[EncodedPost], calibration: Calibration
) -> Predictions:
    """What a tagger finds in labelled posts, with confidences of this calibration and of none."""
    found, collector = tagger.entities(readings), PredictionCollector()
    emissions = [reading.emissions for reading in readings]
    spans = tagger.decoder.decode(emissions)
    now = span_confidences(calibration, tagger.decoder, emissions, spans)
    before = uncalibrated(tagger.decoder, readings, found)
    for reading, row, values, raw in zip(readings, found, now, before, strict=True):
        told = [dataclasses.replace(e, confidence=c) for e, c in zip(row, values.tolist(), strict=True)]
        collector.add_entities(told, reading.post.entities or (), raw)
    return collector.predictions()


class Told(NamedTuple):
    """Posts with gold relations, and what was told between the given ends of each, whichever is the head."""

    posts: Sequence[Post]
    predicted: Sequence[Sequence[PredictedRelation]]


def relation_figures(
    labels: Sequence[str],
    groups: Mapping[str, Told],
    calibration: Calibration,
    *,
    symmetric: Collection[str] = (),
    seed: int = SEED,
) -> dict[str, DataFigures]:
    """Figures of a relation model on each data set.

    Args:
        labels: the model's relations.
        groups: by data set.
        calibration: fitted on all of them.
        symmetric: relations that hold both ways.
        seed: of the halves.
    """
    figures = {}
    for name, (posts, predicted) in groups.items():
        halves = first_half(apart(posts), seed)
        other = np.flatnonzero(~halves).tolist()
        second = Told([posts[i] for i in other], [predicted[i] for i in other])
        first = labelled_pairs(labels, posts, predicted, symmetric).part(halves)
        tested = relation_predictions(labels, second, calibration, symmetric)
        figures[name] = data_figures(first, tested, calibration)
    return figures


def relation_predictions(
    labels: Sequence[str], told: Told, calibration: Calibration, symmetric: Collection[str] = ()
) -> Predictions:
    """What was told, with confidences of this calibration and of none."""
    collector = PredictionCollector()
    for post, row in zip(told.posts, told.predicted, strict=True):
        predictions = [item.prediction for item in row if item.prediction is not None]  # each told has one
        sure = [_confidence(calibration, labels, prediction) for prediction in predictions]
        found = [dataclasses.replace(item.relation, confidence=c) for item, c in zip(row, sure, strict=True)]
        gold, before = post.relations or (), [prediction.probability for prediction in predictions]
        collector.add_triples(found, gold, complete=True, symmetric=symmetric, uncalibrated=before)
    return collector.predictions()


def _confidence(calibration: Calibration, labels: Sequence[str], prediction: ClassPrediction) -> float:
    chances = relation_chances(calibration, labels, prediction.scores[None], [prediction.class_index])
    return float(chances[0, prediction.class_index])
