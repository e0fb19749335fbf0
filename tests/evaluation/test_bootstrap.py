"""Intervals have about the stated coverage, and resample posts, not predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twofold.evaluation.bootstrap import bootstrap_metrics, percentile_interval, reflected_interval
from twofold.evaluation.calibration_error import calibration_error


def means(values, post, posts, **options):
    def metrics(weights):
        w = weights[post]
        return {"mean": float((values * w).sum() / w.sum()) if w.sum() else math.nan}

    return bootstrap_metrics(metrics, posts, **options)["mean"]


def test_coverage_where_predictions_of_a_post_are_correlated():
    random, covered, naive = np.random.default_rng(0), 0, 0
    for _ in range(150):
        post = np.repeat(np.arange(40), 6)
        values = (random.random(40) < 0.7)[post].astype(float)  # all of a post right, or none
        interval = percentile_interval(values.mean(), means(values, post, 40, resamples=200))
        covered += interval.low <= 0.7 <= interval.high
        alone = percentile_interval(values.mean(), means(values, np.arange(240), 240, resamples=200))
        naive += alone.low <= 0.7 <= alone.high
    assert covered >= 128  # 95 % less four standard errors, and a little for the method
    assert naive < 110


def test_equal_seeds_give_equal_resamples():
    values, post = np.arange(30.0), np.arange(30) // 3
    assert (
        means(values, post, 10, resamples=20, seed=4) == means(values, post, 10, resamples=20, seed=4)
    ).all()
    assert (
        means(values, post, 10, resamples=20, seed=4) != means(values, post, 10, resamples=20, seed=5)
    ).any()


def test_reflected_interval_removes_the_bias_of_noise():
    random = np.random.default_rng(1)
    confidences = random.random(400)
    right = random.random(400) < confidences  # calibrated: the error is all noise
    value = calibration_error(confidences, right)

    def metrics(weights):
        return {"ece": calibration_error(confidences, right, weights=weights)}

    resampled = bootstrap_metrics(metrics, 400, resamples=200)["ece"]
    assert resampled.mean() > value
    assert percentile_interval(value, resampled).low > 0.01
    assert reflected_interval(value, resampled).low < 0.005
    assert reflected_interval(value, resampled).high >= value


def test_resamples_with_nothing_to_measure_are_left_out():
    resampled = np.array([math.nan, 1.0, 2.0, 3.0])
    assert percentile_interval(2.0, resampled, level=0.5) == pytest.approx((2.0, 1.5, 2.5))
    assert all(math.isnan(x) for x in percentile_interval(2.0, np.zeros(0))[1:])
    assert all(math.isnan(x) for x in reflected_interval(math.nan, np.zeros(0)))
    assert bootstrap_metrics(lambda weights: {"mean": 1 / len(weights)}, 0) == {}


@pytest.mark.parametrize(
    ("value", "resampled", "expected"),
    [
        (0.5, [0.4, 0.5, 0.7], (0.3, 0.6)),  # quantiles 0.4 and 0.7, reflected at 0.5
        (0.5, [0.6, 0.7], (0.3, 0.5)),  # never below the value
        (0.1, [0.0, 0.3], (0.0, 0.2)),  # clipped at 0
        (0.9, [0.5, 1.0], (0.8, 1.0)),  # and at 1
    ],
)
def test_reflected_interval_by_hand(value, resampled, expected):
    found = reflected_interval(value, np.array(resampled), level=1.0)
    assert found == pytest.approx((value, *expected))


def test_defaults_are_seed_0_and_level_95_per_cent():
    values, post = np.arange(12.0), np.arange(12) // 3
    resampled = means(values, post, 4, resamples=50)
    np.testing.assert_array_equal(resampled, means(values, post, 4, resamples=50, seed=0))
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert percentile_interval(5.5, resampled) == pytest.approx((5.5, low, high))
    assert reflected_interval(0.5, resampled / 11) == reflected_interval(0.5, resampled / 11, 0.95)
