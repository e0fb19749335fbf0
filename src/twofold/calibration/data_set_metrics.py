"""Calibration metrics of each data set, for the model card, next to those of all data sets together.

Calibration, selective prediction and error detection are measured on the calibration split, since confidences
are fitted on the tuning split. Prediction sets are measured on the tuning split, since their quantiles are
fitted on the calibration split.

This module does not know files or cards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twofold.calibration.calibrate import REPORTED_ERRORS, SplitCounts, prediction_set_metrics
from twofold.calibration.calibration import Calibration
from twofold.calibration.conformal import SetMetrics
from twofold.calibration.entities import label_spans, span_confidences
from twofold.calibration.labelled_predictions import LabelledPredictions
from twofold.calibration.relations import (
    RelationPredictions,
    label_relations,
    relation_probabilities,
    split_keys,
)
from twofold.calibration.risk_control import control_risk
from twofold.calibration.splits import SEED, in_tuning_split
from twofold.calibration.uncalibrated import uncalibrated_confidences
from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import ALL, trust_report
from twofold.inference.encode import EncodedPost
from twofold.inference.relation_classifier import ClassPrediction
from twofold.inference.tagger import Tagger


@dataclass(frozen=True, slots=True)
class Accepted:
    """Predictions on one data set that are accepted by a threshold for all data sets together.

    Attributes:
        accepted: number of accepted predictions.
        wrong: number of wrong ones. Their rate may exceed the one guaranteed for all data sets together.
    """

    accepted: int
    wrong: int


@dataclass(frozen=True, slots=True)
class DataSetMetrics:
    """Metrics on one data set.

    Attributes:
        posts: number of posts in each split.
        predictions: number of predictions in the calibration split. right: number of right ones.
        missed: number of missed gold items in it.
        before: metrics of their confidences at temperature 1 (`calibration_metrics`); None where unknown.
        after: metrics of the calibrated confidences.
        ece_if_calibrated: mean ``ece`` of perfectly calibrated predictions with these confidences.
        selective: selective prediction, see `twofold.evaluation.trust_report.SelectiveMetrics`.
        error_auroc: AUROC of error detection by measure of uncertainty.
        prediction_sets: metrics on the tuning split for each of `REPORTED_COVERAGES`.
        accepted: counts in the calibration split for each of `REPORTED_ERRORS` that has a threshold.
    """

    posts: SplitCounts
    predictions: int
    right: int
    missed: int
    before: Mapping[str, Interval] | None
    after: Mapping[str, Interval]
    ece_if_calibrated: float
    selective: Mapping[str, Interval]
    error_auroc: Mapping[str, Interval]
    prediction_sets: Mapping[str, SetMetrics]
    accepted: Mapping[str, Accepted]


def data_set_metrics(
    tuning: LabelledPredictions, tested: Predictions, calibration: Calibration
) -> DataSetMetrics:
    """Compute the metrics for any kind of prediction.

    Args:
        tuning: predictions on the tuning split.
        tested: predictions on the calibration split, with calibrated confidences.
        calibration: fitted on these splits of all data sets.
    """
    report = trust_report(tested)
    after = report.calibration[ALL]
    return DataSetMetrics(
        posts=SplitCounts(tuning.posts, tested.posts),
        predictions=after.predictions,
        right=after.right,
        missed=after.missed,
        before=report.uncalibrated.calibration[ALL].metrics if report.uncalibrated else None,
        after=after.metrics,
        ece_if_calibrated=after.ece_if_calibrated,
        selective=report.selective.metrics,
        error_auroc=report.error_auroc,
        prediction_sets=_set_metrics(tuning, calibration),
        accepted=_accepted(tested, calibration),
    )


def _accepted(tested: Predictions, calibration: Calibration) -> dict[str, Accepted]:
    if calibration.risk_curve is None:
        return {}
    thresholds = {f"{e:.2f}": control_risk(calibration.risk_curve, e).threshold for e in REPORTED_ERRORS}
    above = {name: tested.confidence >= x for name, x in thresholds.items() if x is not None}
    return {name: Accepted(int(x.sum()), int((x & ~tested.right).sum())) for name, x in above.items()}


def _set_metrics(tuning: LabelledPredictions, calibration: Calibration) -> dict[str, SetMetrics]:
    if calibration.conformal is None or not len(tuning.predicted):
        return {}
    return prediction_set_metrics(tuning, calibration, calibration.conformal)


def entity_metrics(
    tagger: Tagger, data_sets: Mapping[str, Sequence[EncodedPost]], calibration: Calibration, seed: int = SEED
) -> dict[str, DataSetMetrics]:
    """Metrics of a tagger on each data set.

    Args:
        tagger: the tagger that encoded the posts; its own calibration is ignored.
        data_sets: labelled posts by data set.
        calibration: fitted on all of them.
        seed: seed of the splits.
    """
    metrics = {}
    for name, posts in data_sets.items():
        mask = in_tuning_split([post.post.id for post in posts], seed)
        tested = [posts[i] for i in np.flatnonzero(~mask).tolist()]
        tuning = label_spans(tagger.decoder, posts).select_posts(mask)
        metrics[name] = data_set_metrics(tuning, entity_predictions(tagger, tested, calibration), calibration)
    return metrics


def entity_predictions(tagger: Tagger, posts: Sequence[EncodedPost], calibration: Calibration) -> Predictions:
    """Predicted entities of labelled posts, with calibrated and uncalibrated confidences."""
    entities, collector = tagger.entities(posts), PredictionCollector()
    emissions = [post.emissions for post in posts]
    spans = tagger.decoder.decode(emissions)
    calibrated = span_confidences(calibration, tagger.decoder, emissions, spans)
    before = uncalibrated_confidences(tagger.decoder, posts, entities)
    for post, row, values, raw in zip(posts, entities, calibrated, before, strict=True):
        predicted = [dataclasses.replace(e, confidence=c) for e, c in zip(row, values.tolist(), strict=True)]
        collector.add_entities(predicted, post.post.entities or (), raw)
    return collector.predictions()


def relation_metrics(
    labels: Sequence[str],
    data_sets: Mapping[str, RelationPredictions],
    calibration: Calibration,
    *,
    symmetric: Collection[str] = (),
    seed: int = SEED,
) -> dict[str, DataSetMetrics]:
    """Metrics of a relation model on each data set.

    Args:
        labels: the model's relations.
        data_sets: posts and the relations predicted for their gold pairs, by data set.
        calibration: fitted on all of them.
        symmetric: relations that hold in both directions.
        seed: seed of the splits.
    """
    metrics = {}
    for name, data in data_sets.items():
        mask = in_tuning_split(split_keys(data.posts), seed)
        other = np.flatnonzero(~mask).tolist()
        tested = RelationPredictions([data.posts[i] for i in other], [data.predicted[i] for i in other])
        tuning = label_relations(labels, data, symmetric).select_posts(mask)
        predictions = relation_predictions(labels, tested, calibration, symmetric)
        metrics[name] = data_set_metrics(tuning, predictions, calibration)
    return metrics


def relation_predictions(
    labels: Sequence[str],
    data: RelationPredictions,
    calibration: Calibration,
    symmetric: Collection[str] = (),
) -> Predictions:
    """Predicted relations of labelled posts, with calibrated and uncalibrated confidences."""
    collector = PredictionCollector()
    for post, row in zip(data.posts, data.predicted, strict=True):
        items = [(item.relation, item.prediction) for item in row if item.prediction is not None]
        predicted = [
            dataclasses.replace(relation, confidence=_confidence(calibration, labels, prediction))
            for relation, prediction in items
        ]
        before = [prediction.probability for _, prediction in items]
        gold = post.relations or ()
        collector.add_triples(predicted, gold, complete=True, symmetric=symmetric, uncalibrated=before)
    return collector.predictions()


def _confidence(calibration: Calibration, labels: Sequence[str], prediction: ClassPrediction) -> float:
    index = prediction.class_index
    probabilities = relation_probabilities(calibration, labels, prediction.scores[None], [index])
    return float(probabilities[0, index])
