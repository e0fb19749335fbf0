"""Isotonic calibration against scikit-learn, and on distorted confidences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.calibration.isotonic import Isotonic, apply_isotonic, fit_isotonic
from twofold.errors import DataError
from twofold.evaluation.calibration_error import calibration_error

ROWS = st.lists(
    st.tuples(st.one_of(st.floats(0, 1, width=16), st.sampled_from([0.2, 0.5])), st.booleans()),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=100)
@given(ROWS)
def test_agrees_with_scikit_learn(rows):
    isotonic = pytest.importorskip("sklearn.isotonic", reason="needs scikit-learn")
    confidences, right = (np.array(column) for column in zip(*rows, strict=True))
    theirs = isotonic.IsotonicRegression(out_of_bounds="clip").fit(confidences, right)
    grid = np.linspace(0, 1, 101)
    ours = fit_isotonic(confidences, right)
    assert ours(grid) == pytest.approx(theirs.predict(grid), abs=1e-6)
    assert ours(confidences) == pytest.approx(theirs.predict(confidences), abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_is_non_decreasing_and_keeps_the_mean(rows):
    confidences, right = (np.array(column) for column in zip(*rows, strict=True))
    fitted = fit_isotonic(confidences, right)
    values = fitted(np.linspace(0, 1, 200))
    assert (np.diff(values) >= 0).all()
    assert (values.min() >= 0, values.max() <= 1) == (True, True)
    assert fitted(confidences).mean() == pytest.approx(right.mean())


def test_corrects_a_distortion_that_no_temperature_can():
    random = np.random.default_rng(0)
    confidences = random.random(40_000)
    right = random.random(40_000) < 0.2 + 0.6 * confidences**3
    fitted = fit_isotonic(confidences[:20_000], right[:20_000])
    assert calibration_error(confidences[20_000:], right[20_000:]) > 0.15
    assert calibration_error(fitted(confidences[20_000:]), right[20_000:]) < 0.02


def test_nothing_to_fit_on():
    with pytest.raises(DataError, match="predicted nothing"):
        fit_isotonic(np.zeros(0), np.zeros(0, bool))


def test_knots_inside_a_constant_block_are_left_out():
    confidences = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6])
    fitted = fit_isotonic(confidences, np.array([0, 0, 0, 1, 0, 1, 1], bool))
    assert fitted.confidence.tolist() == [0.1, 0.3, 0.4, 0.5, 0.6]
    assert fitted.calibrated.tolist() == [0, 0, 0.5, 0.5, 1]
    alone = fit_isotonic(np.array([0.3]), np.array([True]))
    assert (alone.confidence.tolist(), alone.calibrated.tolist()) == ([0.3], [1])


def test_other_classes_keep_their_proportions():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.4, 0.4], [1.0, 0.0, 0.0]])
    apply_isotonic(probabilities, [0, 2, 0], Isotonic(np.array([0.0, 1.0]), np.array([0.0, 0.5])))
    expected = [[0.3, 0.525, 0.175], [0.8 / 3, 1.6 / 3, 0.2], [0.5, 0, 0]]
    assert probabilities == pytest.approx(np.array(expected))
