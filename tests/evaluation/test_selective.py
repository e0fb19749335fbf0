"""Selective prediction: against all orders of equal confidences, against closed forms, and by hand."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.selective import (
    augrc,
    aurc,
    best_f1,
    coverage_at,
    excess_aurc,
    operating_point,
    optimal_aurc,
    risk_at,
    risk_coverage_curve,
    selective_metrics,
)

PREDICTIONS = st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6)


def orders(rows):
    """Errors, in each order that puts no lower confidence before a higher one."""
    for order in permutations(rows):
        if all(a[0] >= b[0] for a, b in pairwise(order)):
            yield np.array([not right for _, right in order], float)


def arrays(rows):
    return np.array([c for c, _ in rows]), np.array([r for _, r in rows], bool)


@settings(deadline=None, max_examples=40)
@given(PREDICTIONS)
def test_areas_are_the_mean_over_all_orders_of_equal_confidences(rows):
    n = len(rows)
    by_aurc, by_augrc = [], []
    for errors in orders(rows):
        wrong = np.append(0, np.cumsum(errors))
        by_aurc.append((wrong[1:] / np.arange(1, n + 1)).mean())
        by_augrc.append(np.trapezoid(wrong / n, dx=1 / n))
    curve = risk_coverage_curve(*arrays(rows))
    assert aurc(curve) == pytest.approx(np.mean(by_aurc))
    assert augrc(curve) == pytest.approx(np.mean(by_augrc))


@settings(deadline=None, max_examples=40)
@given(PREDICTIONS, st.integers(1, 6))
def test_risk_at_a_coverage_is_the_mean_over_all_orders_of_equal_confidences(rows, kept):
    kept = min(kept, len(rows))
    expected = np.mean([errors[:kept].mean() for errors in orders(rows)])
    assert risk_at(risk_coverage_curve(*arrays(rows)), kept / len(rows)) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=7))
def test_no_order_is_better_than_the_best(right):
    n = len(right)
    smallest = min(
        (np.cumsum(np.array(errors, float)) / np.arange(1, n + 1)).mean()
        for errors in set(permutations([not r for r in right]))
    )
    assert optimal_aurc(n, n - sum(right)) == pytest.approx(smallest)


@pytest.mark.parametrize("seed", range(5))
def test_generalized_area_follows_from_auroc_and_error_rate(seed):
    random = np.random.default_rng(seed)
    confidences = random.integers(0, 30, 200) / 30  # with many equal ones
    right = random.random(200) < 0.3 + 0.6 * confidences
    auroc, p = detection_metrics(-confidences, ~right).auroc, 1 - right.mean()
    assert augrc(risk_coverage_curve(confidences, right)) == pytest.approx(
        (1 - auroc) * p * (1 - p) + p**2 / 2
    )


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.4, 0.7, 0.8]), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=20,
    ).filter(lambda rows: sum(row[2] for row in rows) > 0)
)
def test_a_weight_of_n_is_n_copies(rows):
    confidences, right, weights = (np.array(column) for column in zip(*rows, strict=True))
    ours = selective_metrics(confidences, right, weights)
    assert ours == pytest.approx(
        selective_metrics(np.repeat(confidences, weights), np.repeat(right, weights))
    )


def test_only_the_order_of_confidences_matters():
    random = np.random.default_rng(3)
    confidences, right = random.random(50), random.random(50) < 0.7
    assert selective_metrics(confidences, right) == selective_metrics(np.log(confidences), right)


def test_coverage_at_a_risk_by_hand():
    # Two right; then two equal ones, one wrong; then five right; then one wrong.
    confidences = np.array([0.9, 0.9, 0.8, 0.8, *[0.7] * 5, 0.1])
    right = np.array([True, True, True, False, *[True] * 5, False])
    curve = risk_coverage_curve(confidences, right)
    assert coverage_at(curve, 0.0) == 0.2
    assert coverage_at(curve, 0.1) == 0.2  # 1/9 is more than that
    assert coverage_at(curve, 1 / 9) == 0.9  # risk rises and falls again
    assert coverage_at(curve, 0.2) == 1.0
    assert coverage_at(risk_coverage_curve(np.array([0.9]), np.array([False])), 0.1) == 0


def test_f1_counts_missed_gold():
    curve = risk_coverage_curve(np.array([0.9, 0.8, 0.6, 0.2]), np.array([True, True, False, False]))
    half = operating_point(curve, gold=5, coverage=0.5)
    assert half == pytest.approx((0.5, 0.8, 0.0, 2 / 5, 4 / 7))
    full = operating_point(curve, gold=5, coverage=1.0)
    assert full == pytest.approx((1.0, 0.2, 0.5, 2 / 5, 4 / 9))
    assert best_f1(curve, gold=5) == pytest.approx(half)


def test_perfect_and_reversed_order():
    right = np.array([True] * 6 + [False] * 2)
    assert excess_aurc(risk_coverage_curve(np.arange(8, 0, -1.0), right)) == pytest.approx(0)
    assert excess_aurc(risk_coverage_curve(np.arange(8.0), right)) > 0.4


def test_no_predictions():
    nothing = risk_coverage_curve(np.zeros(0), np.zeros(0, bool))
    metrics = selective_metrics(np.zeros(0), np.zeros(0, bool))
    assert all(math.isnan(value) for value in metrics.values())
    assert best_f1(nothing, gold=3).f1 == 0


def test_the_metrics_by_name_by_hand():
    # Of 20 predictions the 11th, the 16th and the last three are wrong.
    confidences = np.linspace(1, 0, 20)
    right = np.array([i not in (10, 15, 17, 18, 19) for i in range(20)])
    curve = risk_coverage_curve(confidences, right)
    found = selective_metrics(confidences, right)
    assert list(found) == [
        "aurc", "excess_aurc", "augrc", "risk_at_80_coverage", "coverage_at_5_risk", "coverage_at_10_risk",
    ]  # fmt: skip
    assert found["risk_at_80_coverage"] == pytest.approx(2 / 16)
    assert found["coverage_at_5_risk"] == 0.5  # 1 of 11 is more
    assert found["coverage_at_10_risk"] == 0.75  # 1 of 15
    wrong = np.cumsum(~right)
    assert found["aurc"] == pytest.approx((wrong / np.arange(1, 21)).mean())
    assert found["excess_aurc"] == pytest.approx(found["aurc"] - optimal_aurc(20, 5))
    assert found["augrc"] == augrc(curve)


def test_the_curve_by_hand():
    curve = risk_coverage_curve(
        np.array([0.5, 0.9, 0.5, 0.1]), np.array([True, True, False, False]), np.array([1, 2, 3, 0])
    )
    assert curve.threshold.tolist() == [math.inf, 0.9, 0.5]  # weight 0 gives no threshold
    assert curve.accepted.tolist() == [0, 2, 6]
    assert curve.errors.tolist() == [0, 0, 3]
    assert curve.total == 6


@pytest.mark.parametrize("count", range(1, 41))
def test_every_whole_number_of_predictions_has_its_own_threshold(count):
    """Also where coverage times total is a little more than a whole number."""
    confidences = np.linspace(1, 0.1, 40)
    curve = risk_coverage_curve(confidences, np.ones(40, bool))
    assert operating_point(curve, 40, count / 40).threshold == confidences[count - 1]


def test_points_without_predictions_or_without_gold():
    nothing = risk_coverage_curve(np.zeros(0), np.zeros(0, bool))
    for point in (operating_point(nothing, 3, 0.5), best_f1(nothing, 3)):
        assert math.isnan(point.threshold)
        assert math.isnan(point.risk)
        assert (point.recall, point.f1) == (0, 0)
    empty = operating_point(nothing, 0, 0.5)
    assert empty.coverage == 0.5
    assert math.isnan(empty.recall)
    assert math.isnan(empty.f1)
    spurious = operating_point(risk_coverage_curve(np.array([0.9]), np.array([False])), 0, 1.0)
    assert (spurious.risk, spurious.f1) == (1, 0)
    assert math.isnan(spurious.recall)
    assert math.isnan(optimal_aurc(0, 0))
    assert math.isnan(risk_at(nothing, 0.5))
    assert math.isnan(coverage_at(nothing, 0.5))
