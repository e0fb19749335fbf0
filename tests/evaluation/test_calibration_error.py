"""Calibration figures against torchmetrics, scikit-learn, by hand, and by what weights must mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.evaluation.calibration_error import (
    adaptive_calibration_error,
    brier_score,
    calibration_error,
    calibration_error_if_calibrated,
    calibration_metrics,
    maximum_calibration_error,
    negative_log_likelihood,
    reliability,
)


def resampled(seed, n=500):
    random = np.random.default_rng(seed)
    confidences = random.beta(4, 1.5, n)
    return confidences, random.random(n) < confidences**2


@pytest.mark.parametrize("seed", range(5))
def test_equal_width_figures_agree_with_torchmetrics(seed):
    theirs = pytest.importorskip("torchmetrics.functional.classification", reason="needs torchmetrics")
    import torch

    confidences, right = resampled(seed)
    tensors = torch.tensor(confidences), torch.tensor(right).long()
    ece = theirs.binary_calibration_error(*tensors, n_bins=15, norm="l1")
    mce = theirs.binary_calibration_error(*tensors, n_bins=15, norm="max")
    assert calibration_error(confidences, right) == pytest.approx(float(ece), abs=1e-9)
    assert maximum_calibration_error(confidences, right) == pytest.approx(float(mce), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(seed):
    theirs = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    confidences, right = resampled(seed)
    assert brier_score(confidences, right) == pytest.approx(theirs.brier_score_loss(right, confidences))
    assert negative_log_likelihood(confidences, right) == pytest.approx(theirs.log_loss(right, confidences))


@pytest.mark.parametrize("seed", range(3))
def test_adaptive_error_is_that_of_equal_slices_where_they_come_out_even(seed):
    confidences, right = resampled(seed, 15 * 20)
    order = np.argsort(confidences)
    slices = np.split((confidences - right)[order], 15)
    expected = sum(abs(part.sum()) for part in slices) / 300
    assert adaptive_calibration_error(confidences, right) == pytest.approx(expected)


def test_adaptive_error_divides_a_prediction_on_the_border():
    # Three predictions in two bins: the middle one is half in each.
    confidences, right = np.array([0.2, 0.5, 0.9]), np.array([False, True, True])
    expected = (abs(0.2 - 0.25) + abs(-0.1 - 0.25)) / 3
    assert adaptive_calibration_error(confidences, right, bins=2) == pytest.approx(expected)


def test_adaptive_error_does_not_depend_on_the_order_of_equals():
    confidences = np.array([0.3] * 7 + [0.8] * 6)
    right = np.array([True, False] * 6 + [True])
    values = {
        round(adaptive_calibration_error(confidences[p], right[p], bins=4), 12)
        for p in (np.random.default_rng(i).permutation(13) for i in range(8))
    }
    assert len(values) == 1


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40).filter(
        lambda rows: sum(row[2] for row in rows) > 0
    )
)
def test_a_weight_of_n_is_n_copies(rows):
    confidences, right, weights = (np.array(column) for column in zip(*rows, strict=True))
    copies = np.repeat(confidences, weights), np.repeat(right, weights)
    ours, theirs = calibration_metrics(confidences, right, weights), calibration_metrics(*copies)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_error_by_hand():
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, False, True])
    assert calibration_error(confidences, right, bins=10) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert maximum_calibration_error(confidences, right, bins=10) == pytest.approx(0.2)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_likelihood_by_hand():
    value = negative_log_likelihood(np.array([0.8, 0.3]), np.array([True, False]))
    assert value == pytest.approx(-(math.log(0.8) + math.log(0.7)) / 2)
    assert math.isfinite(negative_log_likelihood(np.array([0.0, 1.0]), np.array([True, False])))


def test_diagram_by_hand():
    bars = reliability(np.array([0.1, 0.2, 0.6, 1.0]), np.array([False, True, True, True]), bins=2)
    assert [(bar.low, bar.high, bar.predictions, bar.right) for bar in bars] == [
        (0, 0.5, 2, 1),
        (0.5, 1, 2, 2),
    ]
    assert [(bar.confidence, bar.accuracy) for bar in bars] == [(pytest.approx(0.15), 0.5), (0.8, 1)]


def test_diagram_holds_the_calibration_error():
    confidences, right = resampled(9)
    bars = [bar for bar in reliability(confidences, right) if bar.predictions]
    gaps = sum(bar.predictions * abs(bar.confidence - bar.accuracy) for bar in bars)
    assert gaps / len(right) == pytest.approx(calibration_error(confidences, right))


def test_silence_is_not_calibration():
    nothing = calibration_metrics(np.zeros(0), np.zeros(0, bool))
    assert all(math.isnan(value) for value in nothing.values())
    assert all(
        bar.predictions == 0 and math.isnan(bar.accuracy)
        for bar in reliability(np.zeros(0), np.zeros(0, bool))
    )


def test_error_by_chance():
    assert calibration_error_if_calibrated(np.array([0.0, 1.0, 1.0])) == 0
    # One bin: mean of |Binomial(n, 0.5) - n/2| / n, by its closed form for even n.
    expected = math.comb(10, 5) / 2**11
    assert calibration_error_if_calibrated(np.full(10, 0.5), resamples=4000) == pytest.approx(
        expected, rel=0.05
    )
    assert math.isnan(calibration_error_if_calibrated(np.zeros(0)))
