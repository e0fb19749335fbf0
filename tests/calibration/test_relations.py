"""Calibration of relations with labels drawn at a known temperature, and cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny_predicted_relations import LABELS, drawn, end, predicted_relation

from twofold.calibration.calibration import Calibration
from twofold.calibration.conformal import SCORES, set_metrics, with_predicted
from twofold.calibration.isotonic import Isotonic
from twofold.calibration.methods import METHODS
from twofold.calibration.relations import (
    RelationPredictions,
    calibrate_relations,
    evaluate_end_to_end,
    label_relations,
    relation_probabilities,
)
from twofold.calibration.risk_control import control_risk
from twofold.calibration.splits import in_tuning_split
from twofold.errors import DataError
from twofold.evaluation.calibration_error import calibration_error
from twofold.posts import Post, Relation

HALVED = Isotonic(np.array([0.0, 1.0]), np.array([0.0, 0.5]))


@pytest.mark.parametrize(
    "calibration",
    [Calibration(1.7), Calibration(1.7, {"peer": 3.0}), Calibration(1.7, {"peer": 3.0}, HALVED)],
)
def test_probabilities_are_the_softmax_at_the_temperature_of_the_predicted_relation(calibration):
    random = np.random.default_rng(0)
    scores = 2 * random.standard_normal((40, 4))
    scores[::3, 2] = -np.inf
    found = scores.argmax(1)
    probabilities = relation_probabilities(calibration, LABELS, scores, found)
    assert probabilities.sum(1) == pytest.approx(np.ones(40))
    assert (probabilities[::3, 2] == 0).all()
    for row, calibrated, best in zip(scores, probabilities, found, strict=True):
        powers = [math.exp(x / (calibration.temperature_by_type.get(LABELS[best], 1.7))) for x in row]
        confidence = powers[best] / sum(powers)
        assert calibrated[best] == pytest.approx(confidence / 2 if calibration.isotonic else confidence)
        others = [i for i in range(4) if i != best]
        parts = np.array([powers[i] for i in others])
        assert calibrated[others] / calibrated[others].sum() == pytest.approx(parts / parts.sum())


def test_no_predictions_give_no_probabilities():
    assert relation_probabilities(Calibration(1.0), LABELS, np.zeros((0, 4)), []).shape == (0, 4)


def test_labels_by_hand():
    a, b, c = end(0), end(2), end(4)
    gold = (
        Relation(a, b, "member"), Relation(b, c, "peer"), Relation(a, c, "None"), Relation(c, end(6), "owns"),
    )  # fmt: skip
    predicted = [
        predicted_relation(a, b, [0, 3, 0, 0]),  # right
        predicted_relation(a, b, [0, 0, 3, 0]),  # another relation
        predicted_relation(b, a, [0, 3, 0, 0]),  # the wrong way round: none in this direction
        predicted_relation(c, b, [0, 0, 0, 3]),  # right where the relation is symmetric
        predicted_relation(a, c, [0, 0, 3, 0]),  # none
        predicted_relation(c, end(6), [0, 0, 3, 0]),  # a relation that the model does not know
        predicted_relation(a, end(8), [0, 0, 3, 0]),  # not annotated
    ]
    data = label_relations(LABELS, RelationPredictions([Post(1, "x", relations=gold)], [predicted]), {"peer"})
    assert data.labels.tolist() == [1, 1, 0, 3, 0, 0]
    assert data.right.tolist() == [True, False, False, True, False, False]
    assert data.predicted.tolist() == [1, 2, 1, 3, 2, 2]
    assert (data.posts, data.post.tolist()) == (1, [0] * 6)
    strictly = label_relations(LABELS, RelationPredictions([Post(1, "x", relations=gold)], [predicted]))
    assert (strictly.labels[3], strictly.right[3]) == (0, False)
    whole = label_relations(
        LABELS, RelationPredictions([Post(1, "x", relations=gold, entities=())], [predicted])
    )
    assert whole.right.tolist() == [*strictly.right.tolist(), False]  # known to be unrelated


def test_selections_keep_labels_and_posts_aligned():
    posts, predicted = drawn(60, 1)
    data = label_relations(LABELS, RelationPredictions(posts, predicted))
    chosen = np.arange(60) % 3 == 1
    part, fresh = (
        data.select_posts(chosen),
        label_relations(LABELS, RelationPredictions(posts[1::3], predicted[1::3])),
    )
    assert part.posts == fresh.posts == 20
    np.testing.assert_array_equal(part.scores, fresh.scores)
    np.testing.assert_array_equal(part.labels, fresh.labels)
    of_one = data.of_class(1)
    assert set(of_one.predicted.tolist()) == {1}
    assert len(of_one.right) == (data.predicted == 1).sum()
    assert of_one.right.sum() == data.right[data.predicted == 1].sum()


@pytest.mark.parametrize("method", list(METHODS))
def test_each_method_lowers_the_calibration_error(method):
    calibration, measured = calibrate_relations(LABELS, drawn(3000, 3), method=METHODS[method])
    assert measured.ece_if_calibrated < 0.04  # the error of perfect calibration on a thousand
    assert measured.after["ece"] < 0.055 < measured.before["ece"]
    fresh = label_relations(LABELS, drawn(3000, 4))
    assert calibration_error(fresh.confidences(calibration), fresh.right) < 0.055


def test_the_temperature_of_the_data_is_recovered():
    calibration, _ = calibrate_relations(LABELS, drawn(6000, 4, heat=1.6))
    assert calibration.temperature == pytest.approx(1.6, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("score", list(SCORES))
def test_sets_cover_the_true_relation_of_exchangeable_pairs(score):
    # On average over calibrations on few pairs: at least the level, however overconfident the model is.
    random, levels = np.random.default_rng(5), (0.8, 0.9)
    covered, by_class = [], []
    for _ in range(15):
        posts, predicted = drawn(300, int(random.integers(1 << 30)), heat=3.0)
        calibration, _ = calibrate_relations(LABELS, RelationPredictions(posts, predicted), score=score)
        fresh = label_relations(LABELS, drawn(300, int(random.integers(1 << 30)), heat=3.0))
        probabilities = fresh.probabilities(calibration)
        sets = [
            with_predicted(calibration.conformal.prediction_sets(probabilities, level), fresh.predicted)
            for level in levels
        ]
        assert sets[0][np.arange(len(probabilities)), fresh.predicted].all()
        covered.append([set_metrics(each, fresh.labels).coverage for each in sets])
        apart = [calibration.conformal.prediction_sets_per_class(probabilities, level) for level in levels]
        by_class.append([set_metrics(each, fresh.labels).coverage_by_class for each in apart])
    for level, found, each in zip(levels, np.mean(covered, 0), np.nanmean(by_class, 0), strict=True):
        assert found >= level - 0.025
        assert each.min() >= level - 0.05  # for each true relation, including None


def test_a_threshold_holds_on_fresh_pairs():
    calibration, _ = calibrate_relations(LABELS, drawn(4000, 9))
    allowed = control_risk(calibration.risk_curve, 0.3)
    fresh = label_relations(LABELS, drawn(4000, 10))
    kept = fresh.confidences(calibration) >= allowed.threshold
    assert 0.2 < (~fresh.right[kept]).mean() <= 0.31
    assert kept.mean() == pytest.approx(allowed.coverage, abs=0.05)


def test_posts_with_the_same_text_are_in_the_same_split():
    posts, predicted = drawn(400, 6)
    duplicates = [Post(f"{post.id}b", post.text, relations=post.relations) for post in posts]
    _, alone = calibrate_relations(LABELS, RelationPredictions(posts, predicted))
    _, both = calibrate_relations(LABELS, RelationPredictions(posts + duplicates, predicted + predicted))
    assert both.posts == tuple(2 * n for n in alone.posts)
    assert both.predictions == tuple(2 * n for n in alone.predictions)


def test_end_to_end_by_hand():
    calibration, _ = calibrate_relations(LABELS, drawn(800, 7, heat=0.8))
    assert control_risk(calibration.risk_curve, 0.2).threshold is not None
    assert control_risk(calibration.risk_curve, 0.02).threshold is None
    sure, unknown = [0.0, 20.0, 0.0, 0.0], [0.0, 0.0, 20.0, 0.0]
    gold = (Relation(end(0), end(2, 5), "member"),)
    predicted = [
        [predicted_relation(end(0), end(2, 5), sure)],  # right
        [predicted_relation(end(0), end(2, 4), sure)],  # a boundary of the tail is wrong, so the relation is
        [predicted_relation(end(0), end(9), unknown)],  # not annotated
        [],
    ]
    many = [Post(f"{i}.{j}", f"{i} {j}", relations=gold) for j in range(50) for i in range(4)]
    found = evaluate_end_to_end(calibration, LABELS, RelationPredictions(many, predicted * 50))
    mine = ~in_tuning_split([post.text for post in many])
    counts = [int(mine[i::4].sum()) for i in range(4)]
    assert found.posts == mine.sum()
    assert (found.predicted, found.annotated) == (sum(counts[:3]), sum(counts[:2]))
    assert found.metrics["accuracy"] == pytest.approx(counts[0] / sum(counts[:2]))
    assert found.metrics["confidence"] > 0.99
    assert found.accepted["0.20"] == sum(counts[:2])
    assert found.errors["0.20"] == counts[1]
    assert "0.02" not in found.accepted


def test_too_few_relations():
    with pytest.raises(DataError, match="relations in one half of the posts"):
        calibrate_relations(LABELS, drawn(40, 8))
    with pytest.raises(DataError, match="predicts 0 relations"):
        calibrate_relations(LABELS, RelationPredictions([], []))
