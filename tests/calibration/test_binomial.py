"""Binomial tails and bounds against SciPy, and against explicit sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.calibration.binomial import binomial_cdf, clopper_pearson_upper, incomplete_beta


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 60), st.floats(0, 1), st.data())
def test_tail_is_the_sum_of_its_terms(trials, rate, data):
    errors = data.draw(st.integers(0, trials))
    terms = [math.comb(trials, i) * rate**i * (1 - rate) ** (trials - i) for i in range(errors + 1)]
    assert binomial_cdf(errors, trials, rate) == pytest.approx(sum(terms), abs=1e-12)


@pytest.mark.parametrize("a", [0.5, 1.0, 3.7, 80.0, 4000.0])
@pytest.mark.parametrize("b", [0.5, 1.0, 12.3, 900.0])
def test_beta_agrees_with_scipy(a, b):
    special = pytest.importorskip("scipy.special", reason="needs SciPy")
    for x in (0.0, 1e-9, 0.01, 0.3, a / (a + b), 0.9, 0.999, 1.0):
        assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("errors", "trials"), [(0, 1), (0, 59), (3, 40), (17, 400), (2.5, 31.7), (39, 40)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_bound_agrees_with_scipy(errors, trials, confidence):
    stats = pytest.importorskip("scipy.stats", reason="needs SciPy")
    expected = stats.beta.ppf(confidence, errors + 1, trials - errors)
    assert clopper_pearson_upper(errors, trials, confidence) == pytest.approx(expected, abs=1e-9)


def test_rule_of_three():
    # 59 without an error: at most 5 % at 95 % confidence; 58 are not enough.
    assert clopper_pearson_upper(0, 59, 0.95) < 0.05 < clopper_pearson_upper(0, 58, 0.95)


def test_no_trials_and_only_errors():
    assert clopper_pearson_upper(0, 0, 0.95) == clopper_pearson_upper(5, 5, 0.95) == 1
    assert binomial_cdf(5, 5, 0.1) == binomial_cdf(0, 0, 0.1) == 1
