"""The threshold of relations against an independent search over all thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.calibration.decision_rule import F1_TOLERANCE
from twofold.calibration.relation_rule import (
    EVERY_PAIR,
    THRESHOLDS,
    _most_precise,
    fit_and_test_relation_rule,
)
from twofold.calibration.relations import RelationPredictions
from twofold.calibration.splits import in_tuning_split
from twofold.crf import DecisionRule
from twofold.inference.relation_classifier import ClassPrediction
from twofold.inference.relation_extractor import PredictedRelation
from twofold.posts import Entity, Post, Relation

LABELS = ("None", "member", "lives")
HEAD, TAIL = Entity(0, 1, "x", "PER"), Entity(2, 3, "x", "ORG")


class Model:
    """Scores of one pair per post, and labels drawn from them at a temperature.

    Args:
        none: added to the scores of "None" afterwards.
    """

    def __init__(self, count: int, none: float, temperature: float = 1.5) -> None:
        random = np.random.default_rng(5)
        self.scores = 2 * random.standard_normal((count, 3))
        probabilities = np.exp(self.scores / temperature)
        probabilities /= probabilities.sum(1, keepdims=True)
        self.truth = (probabilities.cumsum(1) < random.random((count, 1))).sum(1)
        self.scores[:, 0] += none
        self.posts = [
            Post(n, f"post {n}", relations=(Relation(HEAD, TAIL, LABELS[gold]),))
            for n, gold in enumerate(self.truth)
        ]
        self.tuning = in_tuning_split([post.text for post in self.posts])

    def predict(self, rule) -> RelationPredictions:
        """Predictions under a rule, as those of the classifier."""
        rows = []
        for scores in self.scores:
            number = 1 + int(scores[1:].argmax())
            relation = Relation(HEAD, TAIL, LABELS[number], 0.5)
            item = PredictedRelation(relation, ClassPrediction(number, LABELS[number], 0.5, scores))
            rows.append([item] if rule is EVERY_PAIR or scores[number] > scores[0] else [])
        return RelationPredictions(self.posts, rows)

    def f1(self, predicted, part) -> float:
        """F1 of predicted classes (S,) on some posts."""
        found, gold = predicted[part], self.truth[part]
        return 2 * int(((found == gold) & (gold > 0)).sum()) / int((found > 0).sum() + (gold > 0).sum())

    def above(self, threshold, temperature):
        """Predicted classes (S,) under a rule."""
        probabilities = np.exp(self.scores / temperature)
        probabilities /= probabilities.sum(1, keepdims=True)
        best = 1 + probabilities[:, 1:].argmax(1)
        return np.where(probabilities[np.arange(len(best)), best] > threshold, best, 0)


def test_the_threshold_is_the_largest_of_the_best():
    model = Model(800, none=2.0)
    fit = fit_and_test_relation_rule(LABELS, model.predict)
    threshold, temperature = fit.decision_rule
    f1 = np.array([model.f1(model.above(t, temperature), model.tuning) for t in THRESHOLDS])
    assert threshold == THRESHOLDS[f1 >= f1.max() - F1_TOLERANCE].max()
    assert fit.f1 == pytest.approx(model.f1(model.above(threshold, temperature), ~model.tuning))
    assert fit.f1_most_probable == pytest.approx(model.f1(model.scores.argmax(1), ~model.tuning))
    assert fit.f1 > fit.f1_most_probable + 0.05


def test_no_rule_where_no_threshold_is_better(monkeypatch):
    monkeypatch.setattr("twofold.calibration.relation_rule.THRESHOLDS", np.array([0.95]))
    model = Model(400, none=0.0)
    fit = fit_and_test_relation_rule(LABELS, model.predict)
    assert fit.decision_rule is None
    assert fit.f1 == fit.f1_most_probable


@pytest.fixture
def few_thresholds(monkeypatch):
    monkeypatch.setattr("twofold.calibration.relation_rule.THRESHOLDS", np.array([0.2, 0.3, 0.4]))


@pytest.mark.usefixtures("few_thresholds")
def test_seed_and_symmetric_relations_are_passed_on():
    model = Model(200, none=2.0)
    reversed_posts = [
        Post(post.id, post.text, relations=tuple(Relation(r.tail, r.head, r.type) for r in post.relations))
        for post in model.posts
    ]

    def predict(rule):
        return RelationPredictions(reversed_posts, model.predict(rule).predicted)

    model.tuning = in_tuning_split([post.text for post in model.posts], 3)
    fit = fit_and_test_relation_rule(LABELS, model.predict, seed=3)
    assert fit.f1 == pytest.approx(model.f1(model.above(*fit.decision_rule), ~model.tuning))
    assert fit.f1_most_probable == pytest.approx(model.f1(model.scores.argmax(1), ~model.tuning))
    symmetric = fit_and_test_relation_rule(LABELS, predict, symmetric={"member", "lives"}, seed=3)
    assert symmetric == fit
    assert fit_and_test_relation_rule(LABELS, model.predict) == fit_and_test_relation_rule(
        LABELS, model.predict, seed=0
    )


@pytest.mark.parametrize(
    ("f1", "f1_without", "chosen"),
    [
        ([0.5, 0.6, 0.595, 0.58], 0.4, 2),  # the last within a hundredth of the best
        ([0.5, 0.6, 0.59, 0.2], 0.4, 2),
        ([0.6, 0.5, 0.4, 0.3], 0.4, 0),
        ([0.6, 0.5, 0.4, 0.3], 0.6, None),  # F1 is as large without a rule
        ([0.6, 0.5, 0.4, 0.3], 0.599, 0),
    ],
)
def test_the_largest_threshold_of_those_as_good_as_the_best(f1, f1_without, chosen):
    rules = [DecisionRule(0.1), DecisionRule(0.2), DecisionRule(0.3), DecisionRule(0.4)]
    assert _most_precise(rules, f1, f1_without) == (None if chosen is None else rules[chosen])


@pytest.mark.usefixtures("few_thresholds")
def test_a_relation_without_scores_is_never_predicted_under_a_rule():
    model = Model(300, none=2.0)
    others = [PredictedRelation(Relation(TAIL, HEAD, "lives", 0.5), None) for _ in model.posts]

    def predict(rule):
        found = model.predict(rule)
        if rule is not EVERY_PAIR:
            return found
        return found._replace(predicted=[[*row, o] for row, o in zip(found.predicted, others, strict=True)])

    assert fit_and_test_relation_rule(LABELS, predict) == fit_and_test_relation_rule(LABELS, model.predict)
