"""Risk control: cases by hand, and how often the guarantee holds on synthetic data with known error rates."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.calibration.binomial import binomial_cdf
from twofold.calibration.risk_control import (
    RiskCurve,
    ScoredPredictions,
    control_risk,
    error_correlation,
    risk_curve,
)
from twofold.errors import ConfigError


def drawn(random, posts, together=False, size=6):
    """Predictions that are right with a probability equal to their confidence, uniform on [0.6, 1].

    ``together``: those of a post share confidence and random number, so that all of them are right, or none.
    """
    post = np.repeat(np.arange(posts), random.integers(1, size, posts))
    confidence, luck = random.uniform(0.6, 1.0, len(post)), random.random(len(post))
    if together:
        confidence, luck = confidence[np.searchsorted(post, post)], luck[np.searchsorted(post, post)]
    return ScoredPredictions(confidence, luck < confidence, post)


def true_error(threshold):
    return 1 - (max(threshold, 0.6) + 1) / 2  # mean confidence above it


def guarantees(together, post_ids_known, runs=200, **options):
    """How often a guarantee of 0.12 at 0.9 was violated, and the coverages of all guarantees given."""
    random, violations, coverages = np.random.default_rng(0), 0, []
    for _ in range(runs):
        splits = [drawn(random, 150, together, **options) for _ in range(2)]
        if not post_ids_known:
            splits = [s._replace(post=np.arange(len(s.post))) for s in splits]
        found = control_risk(risk_curve(*splits, steps=20), 0.12, confidence=0.9)
        if found.threshold is not None:
            violations += true_error(found.threshold) > 0.12
            coverages.append(found.coverage)
    return violations, coverages


TOO_OFTEN = 33  # of 200; at most 20 are expected, and more than 33 have a probability of 1 in 500


def test_guarantee_holds_as_often_as_stated():
    violations, coverages = guarantees(together=False, post_ids_known=True)
    assert violations <= TOO_OFTEN
    assert len(coverages) > 160  # and not by guaranteeing nothing
    assert np.median(coverages) > 0.4  # 0.6 is the largest possible


@pytest.mark.slow
def test_guarantee_holds_where_errors_of_a_post_are_correlated():
    violations, coverages = guarantees(together=True, post_ids_known=True, size=12)
    assert violations <= TOO_OFTEN
    assert len(coverages) > 40
    # Without post ids the correlation is ignored, and the guarantee is violated too often.
    assert guarantees(together=True, post_ids_known=False, size=12)[0] > TOO_OFTEN


def test_correlation_is_estimated():
    random = np.random.default_rng(1)
    assert error_correlation(drawn(random, 4000)) == pytest.approx(0, abs=0.03)
    assert error_correlation(drawn(random, 4000, together=True)) == pytest.approx(1, abs=0.03)
    assert error_correlation(ScoredPredictions(np.ones(3), np.array([True] * 3), np.zeros(3, int))) == 0
    assert error_correlation(ScoredPredictions(np.zeros(0), np.zeros(0, bool), np.zeros(0, int))) == 0


def by_hand(correlation=0.0):
    """Strictest threshold: too few accepted; then 0 of 59, 2 of 200, 20 of 300, 21 of 1000 wrong."""
    kept = np.array([10.0, 59.0, 200.0, 300.0, 1000.0])
    errors = np.array([0.0, 0.0, 2.0, 20.0, 21.0])
    thresholds = np.array([0.99, 0.95, 0.9, 0.8, 0.0])
    return RiskCurve(thresholds, kept, np.array([0, 0, 1, 15, 90.0]), kept, errors, 2 * kept, correlation)


def test_testing_starts_at_the_best_tuning_threshold_and_stops_at_the_first_not_rejected():
    found = control_risk(by_hand(), 0.05, 0.95)
    assert (found.threshold, found.accepted, found.errors) == (0.9, 200, 2)
    assert found.coverage == 0.2
    # 21 of 1000 would be rejected, but 20 of 300 is not, and nothing is tested after it.
    assert binomial_cdf(21, 1000, 0.05) < 0.05 < binomial_cdf(20, 300, 0.05)
    assert found.upper_bound == pytest.approx(0.031, abs=0.001)
    assert found.achievable is None


def test_design_effect_counts_fully_correlated_errors_once():
    # Two predictions per post, fully correlated: counts are halved.
    curve = by_hand(correlation=1.0)
    assert curve.effective_counts(2) == (1.0, 100.0)
    assert control_risk(curve, 0.05, 0.95).upper_bound == pytest.approx(0.0466, abs=0.0005)


def test_infeasible_error_rate_gives_the_achievable_one():
    found = control_risk(by_hand(), 0.02, 0.95)
    assert (found.threshold, found.accepted, found.errors) == (None, 200, 2)
    assert found.achievable is not None
    assert (found.achievable.max_error, found.achievable.threshold) == (0.035, 0.9)
    assert found.achievable.upper_bound <= 0.035
    assert binomial_cdf(2 * found.data_factor, 200 * found.data_factor, 0.02) <= 0.05
    assert binomial_cdf(2 * found.data_factor / 1.2, 200 * found.data_factor / 1.2, 0.02) > 0.05


def test_too_many_errors_for_any_amount_of_data():
    right = np.arange(400) % 4 != 0
    half = ScoredPredictions(np.full(400, 0.9), right, np.arange(400))
    found = control_risk(risk_curve(half, half), 0.05)
    assert (found.threshold, found.data_factor) == (None, None)
    assert found.achievable is not None
    assert 0.25 < found.achievable.max_error < 0.32


@pytest.mark.parametrize(("confidence", "rate"), [(0.95, 0.105), (0.3, 0.1)])
def test_achievable_is_the_first_step_above_the_bound(confidence, rate):
    """Of 20,000 a tenth is wrong: at most 10.35 % with high confidence, at most 9.89 % with low."""
    right = np.arange(20_000) % 10 != 0
    half = ScoredPredictions(np.full(20_000, 0.9), right, np.arange(20_000))
    found = control_risk(risk_curve(half, half), 0.05, confidence)
    assert found.achievable is not None
    assert found.achievable.max_error == rate


def test_nothing_to_test_on():
    nothing = ScoredPredictions(np.zeros(0), np.zeros(0, bool), np.zeros(0, int))
    found = control_risk(risk_curve(nothing, nothing), 0.05)
    assert (found.threshold, found.achievable, found.upper_bound) == (None, None, 1.0)


@pytest.mark.parametrize(("error", "confidence"), [(0, 0.95), (1, 0.95), (0.05, 1), (-1, 0.5)])
def test_invalid_arguments(error, confidence):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        control_risk(by_hand(), error, confidence)


def test_counts_on_the_grid_are_those_of_the_predictions():
    random = np.random.default_rng(5)
    tuning, calibration = drawn(random, 50), drawn(random, 60)
    curve = risk_curve(tuning, calibration, steps=10)
    assert (np.diff(curve.threshold) < 0).all()
    assert curve.threshold[-1] == 0
    assert curve.accepted[-1] == len(calibration.right)
    for place, threshold in enumerate(curve.threshold):
        above = calibration.confidence >= threshold
        assert curve.accepted[place] == above.sum()
        assert curve.errors[place] == (above & ~calibration.right).sum()
        assert curve.accepted_squared[place] == sum(
            (above & (calibration.post == i)).sum() ** 2 for i in range(60)
        )


@pytest.mark.parametrize(
    ("errors", "correlation"),
    [
        ([[1, 1], [0, 0]], 1),  # errors of a post are fully correlated
        ([[1, 1], [1, 0], [0, 1], [0, 0]], 1 / 3),  # 4/3·2/8 over 1/4, less 1
        ([[1, 0], [0, 1]], 0),  # negative correlation
        ([[1], [0], [1]], 0),  # one prediction a post
        ([[1, 0, 0]], 1),  # cannot be estimated from one post
        ([[1, 1], []], 0),
        ([[0, 0], [0]], 0),
    ],
)
def test_correlation_by_hand(errors, correlation):
    post = np.repeat([7, 3, 12, 5][: len(errors)], [len(row) for row in errors])  # any whole numbers
    wrong = np.array([x for row in errors for x in row], bool)
    predictions = ScoredPredictions(np.full(len(wrong), 0.5), ~wrong, post)
    assert error_correlation(predictions) == pytest.approx(correlation)


@pytest.mark.parametrize(
    ("confidences", "thresholds"),
    [
        (np.arange(1, 11) / 10, [0.8, 0.6, 0.4]),  # above 6.75, 4.5 and 2.25 of 9 steps
        (np.arange(1, 10) / 10, [0.7, 0.5, 0.3]),
        (np.array([0.9, 0.9, 0.9, 0.9, 0.2]), [0.9]),  # each once
        (np.array([0.5]), [0.5]),
        (np.zeros(0), []),
    ],
)
def test_thresholds_are_evenly_spaced_quantiles_of_the_tuning_confidences(confidences, thresholds):
    count = len(confidences)
    tuning = ScoredPredictions(confidences, np.ones(count, bool), np.arange(count))
    curve = risk_curve(tuning, tuning, steps=4)
    assert curve.threshold == pytest.approx([*thresholds, 0])
    # Equal confidences may differ by rounding: a threshold lies a little under them.
    assert all(0 < t - found < 2e-9 for t, found in zip(thresholds, curve.threshold, strict=False))
    expected = [(confidences >= t - 1e-9).sum() for t in [*thresholds, 0]]
    assert curve.tuning_accepted.tolist() == curve.accepted.tolist() == expected
    assert curve.correlation == 0


def test_counts_of_tuning_and_calibration_are_kept_apart():
    random = np.random.default_rng(6)
    tuning, calibration = drawn(random, 40), drawn(random, 30, together=True)
    curve = risk_curve(tuning, calibration)
    assert 50 < len(curve.threshold) <= 100
    for place, threshold in enumerate(curve.threshold):
        above = tuning.confidence >= threshold
        assert curve.tuning_accepted[place] == above.sum()
        assert curve.tuning_errors[place] == (above & ~tuning.right).sum()
    assert curve.correlation == error_correlation(tuning) != error_correlation(calibration)


def test_the_achievable_error_is_the_smallest_in_steps_of_half_a_per_cent():
    for confidence in (0.9, 0.95):
        found = control_risk(by_hand(), 0.012, confidence)
        steps = [round(i * 0.005, 6) for i in range(3, 200)]
        smallest = next(e for e in steps if control_risk(by_hand(), e, confidence).threshold is not None)
        assert found.achievable == control_risk(by_hand(), smallest, confidence)
        assert found.achievable.max_error == smallest
        assert found.achievable.confidence == confidence


def test_data_factor_is_the_smallest_power_of_1_1_that_is_enough():
    found = control_risk(by_hand(), 0.02, 0.95)
    powers = [1.1**i for i in range(60)]
    needed = next(x for x in powers if binomial_cdf(2 * x, 200 * x, 0.02) <= 0.05)
    assert found.data_factor == pytest.approx(needed)
    # Where the observed error rate equals the requested one, no amount of data is enough.
    assert control_risk(by_hand(), 0.01, 0.95).data_factor is None


def test_a_result_holds_the_requested_error_and_confidence():
    found = control_risk(by_hand(), 0.05)
    assert (found.max_error, found.confidence, found.data_factor) == (0.05, 0.95, None)
    assert found == control_risk(by_hand(), 0.05, 0.95)
    with pytest.raises(ConfigError) as raised:
        control_risk(by_hand(), 1.0)
    assert (raised.value.what, raised.value.expected) == ("the error rate is 1.0", "a number between 0 and 1")
    with pytest.raises(ConfigError) as raised:
        control_risk(by_hand(), 0.5, 0)
    assert raised.value.what == "the confidence is 0"


def test_a_threshold_that_accepts_nothing_guarantees_nothing():
    curve = RiskCurve(
        *(np.array([x, y]) for x, y in ((0.9, 0.0), (5, 50), (0, 0), (0, 0), (0, 0), (0, 0))), 0.5
    )
    assert curve.effective_counts(0) == (0, 0)
    found = control_risk(curve, 0.5)
    assert (found.threshold, found.accepted, found.coverage, found.upper_bound) == (None, 0, 0, 1)
