"""Detection metrics against scikit-learn, and where there are no positives or no negatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.evaluation.detection import detection_metrics

theirs = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.7, 2.0]), st.booleans(), st.integers(1, 3)),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({row[1] for row in rows}) == 2)


@settings(deadline=None, max_examples=80)
@given(ROWS)
def test_agrees_with_scikit_learn(rows):
    score, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = detection_metrics(score, positive, weights)
    assert found.auroc == pytest.approx(theirs.roc_auc_score(positive, score, sample_weight=weights))
    assert found.aupr == pytest.approx(theirs.average_precision_score(positive, score, sample_weight=weights))
    fpr, tpr, _ = theirs.roc_curve(positive, score, sample_weight=weights, drop_intermediate=False)
    assert found.fpr95 == pytest.approx(fpr[tpr >= 0.95 - 1e-12].min())
    assert (found.positives, found.negatives) == (weights[positive].sum(), weights[~positive].sum())


def test_an_item_of_weight_0_is_left_out():
    score, positive = np.array([3.0, 2.0, 2.5, 1.0]), np.array([True, True, False, False])
    assert detection_metrics(score, positive, np.array([1, 1, 0, 1]))[:3] == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("positive", [[True, True], [False, False], []])
def test_metrics_are_nan_without_positives_or_negatives(positive):
    found = detection_metrics(np.zeros(len(positive)), np.array(positive, bool))
    assert all(math.isnan(value) for value in found[:3])
    assert found.positives == sum(positive)


def test_a_rate_of_exactly_95_per_cent_is_enough():
    score = np.r_[np.arange(19.0) + 1, -1.0, 0.0]  # 19 positives above the negative, one below
    positive = np.arange(21) < 20
    found = detection_metrics(score, positive)
    assert found.fpr95 == 0
    assert found.auroc == pytest.approx(19 / 20)
    assert detection_metrics(score[1:], positive[1:]).fpr95 == 1  # 18 of 19 are too few
