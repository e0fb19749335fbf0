"""Calibration metrics against torchmetrics and scikit-learn, by hand, and with weights against copies."""

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
def test_equal_width_metrics_agree_with_torchmetrics(seed):
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
def test_adaptive_error_is_that_of_equal_slices_where_bins_divide_the_predictions(seed):
    confidences, right = resampled(seed, 15 * 20)
    order = np.argsort(confidences)
    slices = np.split((confidences - right)[order], 15)
    expected = sum(abs(part.sum()) for part in slices) / 300
    assert adaptive_calibration_error(confidences, right) == pytest.approx(expected)


def test_adaptive_error_divides_a_prediction_on_a_bin_edge():
    # Three predictions in two bins: the middle one is half in each.
    confidences, right = np.array([0.2, 0.5, 0.9]), np.array([False, True, True])
    expected = (abs(0.2 - 0.25) + abs(-0.1 - 0.25)) / 3
    assert adaptive_calibration_error(confidences, right, bins=2) == pytest.approx(expected)


def test_adaptive_error_does_not_depend_on_the_order_of_equal_confidences():
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


def test_metrics_without_predictions_are_nan():
    nothing = calibration_metrics(np.zeros(0), np.zeros(0, bool))
    assert all(math.isnan(value) for value in nothing.values())
    assert all(
        bar.predictions == 0 and math.isnan(bar.accuracy)
        for bar in reliability(np.zeros(0), np.zeros(0, bool))
    )


def test_error_if_calibrated():
    assert calibration_error_if_calibrated(np.array([0.0, 1.0, 1.0])) == 0
    # One bin: mean of |Binomial(n, 0.5) - n/2| / n, by its closed form for even n.
    expected = math.comb(10, 5) / 2**11
    assert calibration_error_if_calibrated(np.full(10, 0.5), resamples=4000) == pytest.approx(
        expected, rel=0.05
    )
    assert math.isnan(calibration_error_if_calibrated(np.zeros(0)))


def test_all_metrics_by_name_by_hand():
    confidences, right = np.array([0.9, 0.6, 0.3]), np.array([True, False, False])
    nll = -(math.log(0.9) + math.log(0.4) + math.log(0.7)) / 3
    # Each is alone in its bin, also in bins of equal mass.
    gaps = [0.1, 0.6, 0.3]
    assert calibration_metrics(confidences, right) == pytest.approx(
        {
            "confidence": 0.6,
            "accuracy": 1 / 3,
            "ece": sum(gaps) / 3,
            "adaptive_ece": sum(gaps) / 3,
            "mce": 0.6,
            "brier": (0.01 + 0.36 + 0.09) / 3,
            "nll": nll,
        }
    )
    weighted = calibration_metrics(confidences, right, np.array([2, 0, 1]))
    assert (weighted["confidence"], weighted["accuracy"]) == pytest.approx((0.7, 2 / 3))


def test_certain_errors_have_a_likelihood_of_1e_12():
    wrong = negative_log_likelihood(np.array([1.0, 0.0]), np.array([False, True]))
    assert wrong == pytest.approx(12 * math.log(10))
    assert negative_log_likelihood(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_error_if_calibrated_is_of_200_resamples_with_seed_0_by_default():
    confidences = np.linspace(0.1, 0.9, 30)
    plain = calibration_error_if_calibrated(confidences)
    assert plain == calibration_error_if_calibrated(confidences, resamples=200, seed=0)
    assert plain != calibration_error_if_calibrated(confidences, resamples=201, seed=0)
    assert plain != calibration_error_if_calibrated(confidences, resamples=200, seed=1)


def test_an_edge_belongs_to_the_bin_above_it_and_1_to_the_last():
    bars = reliability(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.ones(5, bool), bins=4)
    assert [bar.predictions for bar in bars] == [1, 1, 1, 2]
    assert [(bar.low, bar.high) for bar in bars] == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
