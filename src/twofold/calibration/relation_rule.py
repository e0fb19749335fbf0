"""Decision rule of a relation model: the probability threshold for a large F1, fitted on labelled pairs.

The most probable class is "None" wherever "None" is more probable than each single relation, but F1 does not
count "None": a relation of probability 0.4 is then not predicted, though predicting it would raise F1. A
threshold on its probability decides instead. F1 hardly changes between thresholds of different precision and
recall. Of the thresholds whose F1 is within sampling noise of the best, the largest is chosen: in use most
pairs are unrelated, and a lower threshold predicts relations for more of them.

This module does not know files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.decision_rule import F1_TOLERANCE
from twofold.calibration.methods import one_temperature
from twofold.calibration.relations import RelationPredictions, label_relations, split_keys
from twofold.calibration.splits import SEED, in_tuning_split
from twofold.crf import DecisionRule
from twofold.evaluation.triples import TripleCounter, to_triple
from twofold.inference.relation_classifier import class_probabilities
from twofold.inference.relation_extractor import PredictedRelation

DECISIONS = ("most-probable", "f1")
"""The most probable class, or a threshold for a large F1."""
EVERY_PAIR = DecisionRule(1e-12)
"""Predicts a relation for every pair."""
THRESHOLDS = np.arange(0.05, 0.951, 0.01).round(2)


@dataclass(frozen=True, slots=True)
class RelationRuleFit:
    """A fitted rule and its F1 on posts it was not fitted on.

    Attributes:
        decision_rule: None where the most probable class is better.
        f1: F1 on gold pairs with the rule, direction not given.
        f1_most_probable: the same with the most probable class.
    """

    decision_rule: DecisionRule | None
    f1: float
    f1_most_probable: float


def fit_and_test_relation_rule(
    labels: Sequence[str],
    predict: Callable[[DecisionRule | None], RelationPredictions],
    *,
    symmetric: Collection[str] = (),
    seed: int = SEED,
) -> RelationRuleFit:
    """Fit on the tuning split and measure on the calibration split.

    Args:
        labels: the K relations of the model.
        predict: predicts relations of gold pairs under a rule, for the same posts each time.
        symmetric: relations that hold in both directions.
        seed: seed of the splits; posts with the same text are in the same split.
    """
    all_pairs, most_probable = predict(EVERY_PAIR), predict(None)
    mask = in_tuning_split(split_keys(all_pairs.posts), seed)
    labelled = label_relations(labels, all_pairs, symmetric).select_posts(mask)
    temperature = one_temperature(labelled).temperature
    probabilities = [[_probability(item, temperature) for item in row] for row in all_pairs.predicted]

    def f1(rule: DecisionRule | None, part: NDArray[np.bool_]) -> float:
        data = most_probable if rule is None else _apply_rule(all_pairs, probabilities, rule)
        return _f1(data, part, symmetric)

    rules = [DecisionRule(float(threshold), temperature) for threshold in THRESHOLDS]
    rule = _most_precise(rules, [f1(rule, mask) for rule in rules], f1(None, mask))
    return RelationRuleFit(rule, f1(rule, ~mask), f1(None, ~mask))


def _most_precise(
    rules: Sequence[DecisionRule], f1: Sequence[float], f1_without: float
) -> DecisionRule | None:
    """The rule with the largest threshold of those as good as the best; None where no rule raises F1."""
    if max(f1) <= f1_without:
        return None
    return next(rule for rule, x in zip(rules[::-1], f1[::-1], strict=True) if x >= max(f1) - F1_TOLERANCE)


def _apply_rule(
    all_pairs: RelationPredictions, probabilities: Sequence[Sequence[float]], rule: DecisionRule
) -> RelationPredictions:
    """Keep the relations that a rule predicts, of those predicted for every pair."""
    rows = [
        [item for item, p in zip(row, values, strict=True) if p > rule.threshold]
        for row, values in zip(all_pairs.predicted, probabilities, strict=True)
    ]
    return all_pairs._replace(predicted=rows)


def _probability(item: PredictedRelation, temperature: float) -> float:
    prediction = item.prediction
    if prediction is None:
        return 0.0
    return float(class_probabilities(prediction.scores[None], temperature)[0, prediction.class_index])


def _f1(data: RelationPredictions, mask: NDArray[np.bool_], symmetric: Collection[str]) -> float:
    counter = TripleCounter(symmetric)
    for post, row, chosen in zip(data.posts, data.predicted, mask.tolist(), strict=True):
        if chosen:
            counter.add(map(to_triple, post.relations or ()), [to_triple(item.relation) for item in row])
    return counter.scores().boundaries_annotated.f1
