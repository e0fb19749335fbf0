"""Prediction sets have the stated coverage on synthetic items, and agree with MAPIE."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.calibration.conformal import (
    COVERAGES,
    SCORES,
    conformal_quantile,
    coverage_index,
    fit_quantiles,
    raps,
    set_metrics,
    sets_within,
    with_predicted,
)
from twofold.errors import ConfigError

CLASSES = ("PER", "LOC", "ORG", "none")


def drawn(random, count, sharp=2.0):
    """Overconfident probabilities, and labels drawn from calibrated ones; the third class is rare."""
    logits = random.standard_normal((count, 4)) * sharp + np.array([1.0, 0.5, -1.5, 0.0])
    true = np.exp(logits / 2)
    truth = (np.cumsum(true / true.sum(1, keepdims=True), 1) < random.random((count, 1))).sum(1)
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(1, keepdims=True), truth


@pytest.mark.parametrize("score", list(SCORES))
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_marginal_coverage(score, level):
    # Over fresh held-out sets, coverage of a new item is between the level and level + 1 / (n + 1).
    random, covered, n, runs = np.random.default_rng(0), 0, 60, 4000
    for _ in range(runs):
        probabilities, truth = drawn(random, n + 1)
        scores = SCORES[score](probabilities)
        quantile = conformal_quantile(scores[np.arange(n), truth[:n]], level)
        covered += sets_within(scores[n:], quantile)[0, truth[n]]
    tolerance = 4 * math.sqrt(level * (1 - level) / runs)
    assert covered / runs >= level - tolerance
    if score == "lac":  # continuous scores, sets seldom empty: not much above the level either
        assert covered / runs <= level + 1 / (n + 1) + tolerance + 0.01


@pytest.mark.parametrize("score", list(SCORES))
def test_coverage_by_class(score):
    random = np.random.default_rng(1)
    per_class, marginal = [], []
    for _ in range(60):
        quantiles = fit_quantiles(*drawn(random, 800), CLASSES, score)
        probabilities, truth = drawn(random, 800)
        marginal.append(set_metrics(quantiles.prediction_sets(probabilities, 0.9), truth).coverage_by_class)
        per_class.append(
            set_metrics(quantiles.prediction_sets_per_class(probabilities, 0.9), truth).coverage_by_class
        )
        assert (quantiles.class_counts[2] < 200, sum(quantiles.class_counts)) == (True, 800)
    assert np.mean(per_class, 0).min() >= 0.89  # for each class, even the rare one
    assert np.mean(marginal, 0).min() < 0.8  # which marginal sets do not reach


def test_lac_agrees_with_mapie():
    conformal = pytest.importorskip("mapie.classification", reason="needs MAPIE")
    base = pytest.importorskip("sklearn.base", reason="needs scikit-learn")

    class Identity(base.ClassifierMixin, base.BaseEstimator):
        """Its features are probabilities, which it returns."""

        def fit(self, features, labels):
            return self

        def predict_proba(self, features):
            return features

        def predict(self, features):
            return features.argmax(1)

        def __sklearn_is_fitted__(self):
            return True

    random = np.random.default_rng(2)
    model = Identity()
    model.classes_ = np.arange(4)
    (probabilities, truth), (new, _) = drawn(random, 300), drawn(random, 500)
    theirs = conformal.SplitConformalClassifier(
        model, confidence_level=[0.8, 0.9, 0.95], conformity_score="lac", prefit=True
    )
    theirs.conformalize(probabilities, truth)
    _, sets = theirs.predict_set(new)  # (S, C, levels)
    quantiles = fit_quantiles(probabilities, truth, CLASSES, "lac")
    for i, level in enumerate((0.8, 0.9, 0.95)):
        ours = quantiles.prediction_sets(new, level)
        filled = sets[:, :, i].any(1)  # MAPIE leaves some empty, where ours hold the most probable class
        assert (ours[filled] == sets[filled, :, i]).all()
        assert (ours[~filled].sum(1) == 1).all()
        assert filled.mean() > 0.8


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(0, 3)
)
def test_raps_by_its_definition(rows, free_ranks):
    probabilities = np.array(rows) / 15
    found = raps(probabilities, penalty=0.25, free_ranks=free_ranks)
    for p, scores in zip(probabilities, found, strict=True):
        for c in range(3):
            before = [j for j in range(3) if (-p[j], j) < (-p[c], c)]
            expected = sum(p[j] for j in before) + 0.25 * max(0, len(before) + 1 - free_ranks)
            assert scores[c] == pytest.approx(expected)


@pytest.mark.parametrize("score", list(SCORES))
def test_sets_grow_with_the_level_and_are_never_empty(score):
    random = np.random.default_rng(3)
    quantiles = fit_quantiles(*drawn(random, 400), CLASSES, score)
    probabilities, _ = drawn(random, 200)
    for method in (quantiles.prediction_sets, quantiles.prediction_sets_per_class):
        sets = [method(probabilities, level) for level in COVERAGES]
        assert all((small <= large).all() for small, large in pairwise(sets))
        assert sets[0][np.arange(200), probabilities.argmax(1)].all()


def test_quantile_is_the_right_order_statistic():
    scores = np.arange(1.0, 20.0)  # 19 of them
    assert conformal_quantile(scores, 0.95) == 19  # ⌈20 · 0.95⌉ = 19
    assert conformal_quantile(scores, 0.9) == 18
    assert conformal_quantile(scores[:18], 0.95) == math.inf  # too few: sets hold every class
    assert conformal_quantile(np.zeros(0), 0.5) == math.inf


def test_a_class_without_held_out_items_is_in_every_class_conditional_set():
    probabilities = np.array([[0.9, 0.1, 0.0]] * 30)
    quantiles = fit_quantiles(probabilities, np.zeros(30, int), ("a", "b", "c"), "lac")
    assert quantiles.prediction_sets_per_class(probabilities[:1], 0.9).tolist() == [[True, True, True]]
    assert quantiles.prediction_sets(probabilities[:1], 0.9).tolist() == [[True, False, False]]


def test_levels():
    assert COVERAGES[coverage_index(0.9)] == 0.9
    assert COVERAGES[coverage_index(0.901)] == 0.91
    assert (COVERAGES[0], COVERAGES[-1]) == (0.5, 0.99)
    for level in (0.3, 0.995, 1.0, math.nan):
        with pytest.raises(ConfigError, match=r"from 0\.5 to 0\.99"):
            coverage_index(level)


def test_set_metrics_by_hand():
    sets = np.array([[True, False], [True, True], [False, True]])
    metrics = set_metrics(sets, np.array([0, 0, 0]))
    assert metrics[:3] == pytest.approx((2 / 3, 4 / 3, 2 / 3))
    assert metrics.coverage_by_class[0] == pytest.approx(2 / 3)
    assert math.isnan(metrics.coverage_by_class[1])
    assert math.isnan(set_metrics(np.zeros((0, 2), bool), np.zeros(0, int)).coverage)


def test_a_quantile_is_the_order_statistic_at_every_coverage():
    """(n + 1)·coverage is a whole number here, also where rounding puts it slightly above."""
    scores = np.arange(1.0, 100.0)
    assert [conformal_quantile(scores, coverage) for coverage in COVERAGES] == list(range(50, 100))
    assert conformal_quantile(scores, 0.501) == 51
    quantiles = fit_quantiles(1 - scores[:, None] / 100, np.zeros(99, int), ("a",), "lac")
    assert quantiles.marginal == pytest.approx(np.arange(50, 100) / 100)
    assert quantiles.per_class == pytest.approx(np.arange(50, 100)[None] / 100)


def test_a_coverage_is_rounded_up_to_whole_per_cents():
    assert [coverage_index(coverage) for coverage in COVERAGES] == list(range(50))
    assert [coverage_index(x) for x in (0.5 + 1e-12, 0.905, 0.9000001, 0.99)] == [0, 41, 41, 49]
    with pytest.raises(ConfigError) as raised:
        coverage_index(0.4)
    assert raised.value.what == "the coverage of the prediction sets is 0.4"
    assert raised.value.expected == "a number from 0.5 to 0.99"


def test_a_score_of_the_quantile_is_within_it_and_the_smallest_always():
    scores = np.array([[0.1, 0.5, 0.5 + 1e-10, 0.51], [0.9, 0.7, 0.8, 0.75]])
    assert sets_within(scores, 0.5).tolist() == [[True, True, True, False], [False, True, False, False]]
    each = np.array([0.0, 0.5, 0.2, 0.6])
    assert sets_within(scores[:1], each).tolist() == [[True, True, False, True]]


def test_the_predicted_class_is_put_into_its_set():
    sets = np.zeros((2, 3), bool)
    assert with_predicted(sets, [2, 0]) is sets
    assert sets.tolist() == [[False, False, True], [True, False, False]]


def test_raps_penalises_a_hundredth_for_each_rank_beyond_the_first():
    assert raps(np.array([[0.2, 0.5, 0.3]])) == pytest.approx(np.array([[0.8 + 0.02, 0, 0.5 + 0.01]]))


def test_metrics_without_items_are_nan():
    assert len(set_metrics(np.zeros((0, 3), bool), np.zeros(0, int)).coverage_by_class) == 3
    found = set_metrics(np.zeros((0, 3), bool), np.zeros(0, int))
    assert all(math.isnan(x) for x in (*found[:3], *found.coverage_by_class))
