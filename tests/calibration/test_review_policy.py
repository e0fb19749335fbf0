"""What is said where no threshold guarantees an error rate: right for few predictions and for many."""

from __future__ import annotations

import re

import numpy as np
import pytest

from twofold.calibration.review_policy import _remedy, achievable_error, no_threshold_reason
from twofold.calibration.risk_control import ScoredPredictions, control_risk, risk_curve


def control(right, max_error, confidence=None):
    """Control of predictions whose confidences fall in their order, the same on both splits."""
    right = np.array(right, bool)
    sure = np.linspace(0.99, 0.5, len(right)) if confidence is None else np.full(len(right), confidence)
    split = ScoredPredictions(sure, right, np.arange(len(right)))
    return control_risk(risk_curve(split, split), max_error)


def test_one_prediction_says_how_many_are_needed():
    risk = control([True], 0.02)
    assert (risk.threshold, risk.accepted, risk.errors) == (None, 1, 0)
    reason = no_threshold_reason(risk, "relations")
    assert "only the one most confident could be tested, 0 of them wrong" in reason
    assert "even without an error, 149 are needed" in reason  # 0.98**149 <= 0.05 < 0.98**148
    assert "95.0%" not in reason


@pytest.mark.parametrize(("max_error", "needed"), [(0.02, 149), (0.05, 59), (0.1, 29), (0.5, 5)])
def test_as_many_as_are_needed_do(max_error, needed):
    assert control([True] * needed, max_error).threshold is not None
    few = control([True] * (needed - 1), max_error)
    assert few.threshold is None
    assert f"{needed} are needed" in no_threshold_reason(few, "entities")


def test_many_predictions_say_how_many_are_wrong():
    right = np.arange(400) % 10 != 0
    risk = control(right, 0.05, 0.9)
    reason = no_threshold_reason(risk, "entities")
    assert "at most 5.0% of the entities are wrong (at 95% confidence)" in reason
    assert "of the 400 most confident entities of the calibration posts 40 are wrong" in reason
    assert f"as high as {risk.upper_bound:.1%}" in reason
    assert achievable_error(risk, "entities") == "0.13 (100% of the entities are accepted)"


def test_nothing_to_test_on():
    risk = control([], 0.05)
    assert "calibrated on posts without relations" in no_threshold_reason(risk, "relations")
    assert achievable_error(risk, "relations") is None


@pytest.mark.parametrize(
    ("wrong", "max_error", "remedy"),
    [
        (40, 0.12, r"about \d\.\d times as many"),
        (40, 0.101, r"more than 100 times as many labelled posts would be needed"),
    ],
)
def test_how_many_more_posts_are_needed_is_a_number_only_where_it_means_something(wrong, max_error, remedy):
    policy = control(np.arange(400) % (400 // wrong) != 0, max_error, 0.9)
    assert policy.data_factor is not None
    assert re.search(remedy, _remedy(policy))
