from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from review.queue_of_posts import make_store, result
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from twofold.review.decisions import Decision
from twofold.review.statistics import Items, Rate, logit_shift, rate, statistics, threshold_estimates

FINISH = Decision("finish")


@pytest.mark.parametrize(("wrong", "count"), [(0, 20), (3, 20), (20, 20), (1, 1), (40, 900)])
def test_the_interval_is_that_of_clopper_and_pearson(wrong: int, count: int) -> None:
    found = rate(wrong, count)
    low = 0.0 if wrong == 0 else beta.ppf(0.025, wrong, count - wrong + 1)
    high = 1.0 if wrong == count else beta.ppf(0.975, wrong + 1, count - wrong)
    assert found == pytest.approx(Rate(wrong / count, low, high), abs=1e-6)


def test_without_predictions_the_rate_is_unknown() -> None:
    value, low, high = rate(0, 0)
    assert np.isnan(value)
    assert (low, high) == (0, 1)


def test_the_shift_is_the_mode_of_the_posterior() -> None:
    dice = np.random.default_rng(3)
    logit = dice.normal(0, 2, 60)
    wrong = (dice.random(60) > 1 / (1 + np.exp(-(logit - 1)))).astype(float)

    def loss(shift: float) -> float:
        p = 1 / (1 + np.exp(-(logit + shift)))
        return float(-(((1 - wrong) * np.log(p) + wrong * np.log(1 - p)).sum()) + shift**2 / 2)

    shift, variance = logit_shift(logit, wrong)
    assert shift == pytest.approx(minimize_scalar(loss).x, abs=1e-5)
    curvature = (loss(shift + 1e-3) - 2 * loss(shift) + loss(shift - 1e-3)) / 1e-6
    assert variance == pytest.approx(1 / curvature, rel=1e-3)
    assert logit_shift(np.zeros(0), np.zeros(0)) == (0.0, 1.0)


def test_decisions_on_hard_cases_correct_the_estimate_for_easy_ones() -> None:
    """With the less confident half reviewed, the estimate is closer to the truth than the confidences."""
    dice = np.random.default_rng(7)
    confidence = dice.uniform(0.3, 0.99, 4000)
    logit = np.log(confidence / (1 - confidence))
    right = dice.random(4000) < 1 / (1 + np.exp(-(logit - 1)))
    wrong = np.where(confidence < np.median(confidence), (~right).astype(float), np.nan)
    for estimate in threshold_estimates(Items(confidence, wrong), (0.0, 0.5, 0.8, 0.9)):
        truth = float((~right)[confidence >= estimate.threshold].mean())
        assert estimate.error.low <= truth <= estimate.error.high
        assert abs(estimate.error.value - truth) < abs(estimate.claimed - truth)
        assert estimate.accepted == (confidence >= estimate.threshold).sum()


def test_if_everything_is_reviewed_the_estimate_is_the_observed_rate() -> None:
    items = Items(np.array([0.2, 0.6, 0.9]), np.array([1.0, 0.0, 0.0]))
    whole, above = threshold_estimates(items, (0.0, 0.5))
    assert whole.error == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (above.accepted, above.reviewed, above.wrong, above.error.value) == (2, 2, 0, 0)


def test_before_any_decision_the_estimate_is_that_of_the_confidences() -> None:
    (estimate,) = threshold_estimates(Items(np.array([0.7, 0.9]), np.full(2, np.nan)), (0.0,))
    assert estimate.error.value == pytest.approx(0.2)
    assert estimate.error.value == pytest.approx(estimate.claimed)
    assert estimate.error.low == 0
    assert estimate.error.high == pytest.approx(0.2 + 1.96 * np.sqrt(0.3 + 0.09) / 2)


def test_statistics_of_a_review(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.9, 0.5, 0.8), result(1, 0.7), result(2, 0.6), overlap=1.0)
    store.decide(0, "ada", [Decision("entity", 1, "correct", type="PER"), FINISH])
    store.decide(
        0, "bob", [Decision("entity", 1, "reject"), Decision("add", start=9, end=12, type="MISC"), FINISH]
    )
    store.decide(1, "ada", [FINISH])
    store.decide(1, "bob", [FINISH])
    store.decide(2, "bob", [Decision("entity", 0, "reject")])
    found = statistics(store.confidences(), store.reviews())
    assert found.answers == {"accept": 6, "correct": 1, "reject": 2}
    assert (found.missed, found.finished) == (1, 2)
    assert found.entity_error.value == pytest.approx(2 / 5)  # Bob of post 0, and the entity of post 2
    # Spans of post 0: {Ada, Bob/PER, Turin} and {Ada, met, Turin}; of post 1: {Ada} twice.
    posts, equal, f1 = found.agreement
    assert (posts, equal) == (2, 1)
    assert f1 == pytest.approx(2 * (2 + 1) / (6 + 2))
    assert found.relations[0].accepted == 0
