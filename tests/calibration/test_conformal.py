"""Sets hold the truth as often as they say, on synthetic items and against MAPIE."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.calibration.conformal import (
    LEVELS,
    SCORES,
    fit_lines,
    level_place,
    line_at,
    raps,
    set_figures,
    within,
)
from twofold.errors import ConfigError

ANSWERS = ("PER", "LOC", "ORG", "none")


def drawn(random, count, sharp=2.0):
    """Probabilities that are too sure, and truths from the right ones; the third answer is rare."""
    logits = random.standard_normal((count, 4)) * sharp + np.array([1.0, 0.5, -1.5, 0.0])
    true = np.exp(logits / 2)
    truth = (np.cumsum(true / true.sum(1, keepdims=True), 1) < random.random((count, 1))).sum(1)
    chances = np.exp(logits)
    return chances / chances.sum(1, keepdims=True), truth


@pytest.mark.parametrize("score", list(SCORES))
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_marginal_coverage(score, level):
    # Over fresh held-out sets, coverage of a new item is between the level and level + 1 / (n + 1).
    random, held, n, runs = np.random.default_rng(0), 0, 60, 4000
    for _ in range(runs):
        chances, truth = drawn(random, n + 1)
        scores = SCORES[score](chances)
        line = line_at(scores[np.arange(n), truth[:n]], level)
        held += within(scores[n:], line)[0, truth[n]]
    spread = 4 * math.sqrt(level * (1 - level) / runs)
    assert held / runs >= level - spread
    if score == "lac":  # continuous scores, sets seldom empty: no more than it must be
        assert held / runs <= level + 1 / (n + 1) + spread + 0.01


@pytest.mark.parametrize("score", list(SCORES))
def test_coverage_by_class(score):
    random = np.random.default_rng(1)
    apart, together = [], []
    for _ in range(60):
        lines = fit_lines(*drawn(random, 800), ANSWERS, score)
        chances, truth = drawn(random, 800)
        together.append(set_figures(lines.sets(chances, 0.9), truth).by_answer)
        apart.append(set_figures(lines.sets_per_class(chances, 0.9), truth).by_answer)
        assert (lines.held_out[2] < 200, sum(lines.held_out)) == (True, 800)
    assert np.mean(apart, 0).min() >= 0.89  # of each answer, the rare one too
    assert np.mean(together, 0).min() < 0.8  # which sets for all answers together do not give


def test_lac_agrees_with_mapie():
    conformal = pytest.importorskip("mapie.classification", reason="needs MAPIE")
    base = pytest.importorskip("sklearn.base", reason="needs scikit-learn")

    class Given(base.ClassifierMixin, base.BaseEstimator):
        """Takes probabilities for features and gives them back."""

        def fit(self, features, labels):
            return self

        def predict_proba(self, features):
            return features

        def predict(self, features):
            return features.argmax(1)

        def __sklearn_is_fitted__(self):
            return True

    random = np.random.default_rng(2)
    model = Given()
    model.classes_ = np.arange(4)
    (chances, truth), (asked, _) = drawn(random, 300), drawn(random, 500)
    theirs = conformal.SplitConformalClassifier(
        model, confidence_level=[0.8, 0.9, 0.95], conformity_score="lac", prefit=True
    )
    theirs.conformalize(chances, truth)
    _, sets = theirs.predict_set(asked)  # (S, C, levels)
    lines = fit_lines(chances, truth, ANSWERS, "lac")
    for i, level in enumerate((0.8, 0.9, 0.95)):
        ours = lines.sets(asked, level)
        filled = sets[:, :, i].any(1)  # MAPIE leaves some empty, where ours hold the best answer
        assert (ours[filled] == sets[filled, :, i]).all()
        assert (ours[~filled].sum(1) == 1).all()
        assert filled.mean() > 0.8


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(0, 3)
)
def test_raps_by_its_definition(rows, free):
    chances = np.array(rows) / 15
    found = raps(chances, penalty=0.25, free=free)
    for p, scores in zip(chances, found, strict=True):
        for c in range(3):
            before = [j for j in range(3) if (-p[j], j) < (-p[c], c)]
            expected = sum(p[j] for j in before) + 0.25 * max(0, len(before) + 1 - free)
            assert scores[c] == pytest.approx(expected)


@pytest.mark.parametrize("score", list(SCORES))
def test_sets_grow_with_the_level_and_are_never_empty(score):
    random = np.random.default_rng(3)
    lines = fit_lines(*drawn(random, 400), ANSWERS, score)
    chances, _ = drawn(random, 200)
    for method in (lines.sets, lines.sets_per_class):
        sets = [method(chances, level) for level in LEVELS]
        assert all((small <= large).all() for small, large in pairwise(sets))
        assert sets[0][np.arange(200), chances.argmax(1)].all()


def test_line_is_the_right_order_statistic():
    scores = np.arange(1.0, 20.0)  # 19 of them
    assert line_at(scores, 0.95) == 19  # ⌈20 · 0.95⌉ = 19
    assert line_at(scores, 0.9) == 18
    assert line_at(scores[:18], 0.95) == math.inf  # too few: every answer belongs
    assert line_at(np.zeros(0), 0.5) == math.inf


def test_an_answer_never_seen_held_out_belongs_to_every_set_of_its_class():
    chances = np.array([[0.9, 0.1, 0.0]] * 30)
    lines = fit_lines(chances, np.zeros(30, int), ("a", "b", "c"), "lac")
    assert lines.sets_per_class(chances[:1], 0.9).tolist() == [[True, True, True]]
    assert lines.sets(chances[:1], 0.9).tolist() == [[True, False, False]]


def test_levels():
    assert LEVELS[level_place(0.9)] == 0.9
    assert LEVELS[level_place(0.901)] == 0.91
    assert (LEVELS[0], LEVELS[-1]) == (0.5, 0.99)
    for level in (0.3, 0.995, 1.0, math.nan):
        with pytest.raises(ConfigError, match=r"from 0\.5 to 0\.99"):
            level_place(level)


def test_figures_by_hand():
    sets = np.array([[True, False], [True, True], [False, True]])
    figures = set_figures(sets, np.array([0, 0, 0]))
    assert figures[:3] == pytest.approx((2 / 3, 4 / 3, 2 / 3))
    assert figures.by_answer[0] == pytest.approx(2 / 3)
    assert math.isnan(figures.by_answer[1])
    assert math.isnan(set_figures(np.zeros((0, 2), bool), np.zeros(0, int)).coverage)
