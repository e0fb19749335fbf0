"""Detection of OOD items: against `detection`, by hand, and intervals against new samples."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from twofold.evaluation.bootstrap import bootstrap_metrics, percentile_interval
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.domain_shift import (
    DomainShift,
    data_metrics,
    post_ood_detection,
    prediction_ood_detection,
    resample_pairs,
    resample_separately,
)
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import to_json
from twofold.posts import Entity


def gaussian(n, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1, n)


def test_values_are_those_of_detection_and_lie_in_their_intervals():
    in_domain, ood = gaussian(150, 0, 0), gaussian(60, 1, 1)
    found = post_ood_detection({"a": in_domain}, {"a": ood}, resamples=200)["a"]
    expected = detection_metrics(np.r_[in_domain, ood], np.r_[np.zeros(150), np.ones(60)].astype(bool))
    assert (found.auroc.value, found.aupr.value, found.fpr95.value) == expected[:3]
    assert (found.in_domain, found.ood, found.base_rate) == (150, 60, 60 / 210)
    for interval in (found.auroc, found.aupr, found.fpr95):
        assert interval.low < interval.value < interval.high


def test_sizes_stay_the_same_in_every_resample():
    """If every OOD post is above every in-domain one, so they are in each resample, which has both kinds."""
    found = post_ood_detection({"a": np.arange(3.0)}, {"a": np.array([9.0])}, resamples=100)["a"]
    assert tuple(found.auroc) == (1, 1, 1)
    assert tuple(found.fpr95) == (0, 0, 0)


def test_interval_is_as_wide_as_the_spread_over_new_samples():
    values = [
        post_ood_detection({"a": gaussian(80, 0, s)}, {"a": gaussian(40, 1, 1000 + s)}, resamples=1)[
            "a"
        ].auroc.value
        for s in range(200)
    ]
    found = post_ood_detection({"a": gaussian(80, 0, 7)}, {"a": gaussian(40, 1, 1007)}, resamples=400)[
        "a"
    ].auroc
    assert found.high - found.low == pytest.approx(4 * np.std(values), rel=0.3)


def test_two_versions_of_a_post_are_resampled_together():
    """Versions that differ from their posts by a constant are detected about equally in every resample."""
    in_domain = gaussian(50, 0, 0)
    apart = post_ood_detection({"a": in_domain}, {"a": in_domain + 0.2}, resamples=300)["a"].auroc
    together = post_ood_detection(
        {"a": in_domain}, {"a": in_domain + 0.2}, resample=resample_pairs, resamples=300
    )["a"].auroc
    assert together.value == apart.value
    assert together.high - together.low < 0.3 * (apart.high - apart.low)


def test_posts_without_a_value_are_left_out_and_counted():
    in_domain, ood = np.array([0.1, math.nan, 0.2]), np.array([math.nan, 0.3])
    found = post_ood_detection({"a": in_domain, "b": in_domain}, {"a": ood}, resamples=20)
    assert list(found) == ["a"]
    assert (found["a"].in_domain, found["a"].ood, found["a"].auroc.value) == (2, 1, 1.0)


@pytest.mark.parametrize(("in_domain", "ood"), [([], [0.1]), ([0.1], []), ([], []), ([math.nan], [0.2])])
def test_metrics_are_nan_without_posts_on_one_side(in_domain, ood):
    found = post_ood_detection({"a": np.array(in_domain)}, {"a": np.array(ood)}, resamples=5)["a"]
    assert math.isnan(found.auroc.value)
    assert math.isnan(found.auroc.low)
    assert post_ood_detection({}, {}) == {}


def predictions(post, confidence, right):
    n = len(post)
    kind = np.where(right, "right", "spurious")
    return Predictions(
        np.array(confidence), kind, np.array(["PER"] * n), np.array(post), 4, np.array([], str),
        np.array([], np.int64), {"epistemic": np.array(confidence) ** 2}, {},
    )  # fmt: skip


def test_predictions_are_resampled_with_their_posts():
    p = predictions([0, 0, 1, 2, 2, 3], [0.9, 0.6, 0.8, 0.3, 0.7, 0.5], [True] * 6)
    ood = np.array([False, True, False, True, False, True])
    found = prediction_ood_detection(p, ood, resamples=300)
    assert found["confidence"].auroc.value == 1
    assert found["epistemic"].auroc.value == 0
    score = 1 - p.confidence

    def auroc(w):
        return {"x": detection_metrics(score, ood, w[p.post]).aupr}

    resampled = bootstrap_metrics(auroc, 4, resamples=300)["x"]
    assert found["confidence"].aupr == percentile_interval(1.0, resampled)


def entity(start, kind, confidence=None):
    return Entity(start, start + 1, "x", kind, confidence)


def test_metrics_on_a_data_set_by_hand():
    collector = PredictionCollector()
    collector.add_entities(
        [entity(0, "PER", 0.9), entity(3, "LOC", 0.5)], [entity(0, "PER"), entity(5, "ORG")]
    )
    found = data_metrics(collector.predictions(), 1, labelled=True)
    assert (found.items, found.predicted, found.confidence, found.accuracy, found.f1) == (1, 2, 0.7, 0.5, 0.5)
    assert found.ece == pytest.approx((0.1 + 0.5) / 2)
    unlabelled = data_metrics(collector.predictions(), 1, labelled=False)
    assert unlabelled.confidence == 0.7
    assert math.isnan(unlabelled.f1)
    assert math.isnan(data_metrics(PredictionCollector().predictions(), 0, labelled=True).f1)


def test_becomes_json():
    detection = post_ood_detection({"a": np.array([0.0, 1.0])}, {"a": np.array([2.0])}, resamples=5)
    nothing = data_metrics(PredictionCollector().predictions(), 0, labelled=False)
    record = to_json(DomainShift("x", "posts", nothing, nothing, detection))
    assert json.loads(json.dumps(record, allow_nan=False))["detection"]["a"]["auroc"]["value"] == 1


def test_by_default_data_sets_are_resampled_separately_with_seed_0():
    scores = {"a": gaussian(12, 0, 0)}, {"a": gaussian(12, 1, 1)}
    plain = post_ood_detection(*scores, resamples=20)
    assert plain == post_ood_detection(*scores, resample=resample_separately, resamples=20, seed=0)
    assert plain != post_ood_detection(*scores, resamples=20, seed=1)
    p = predictions([0, 0, 1, 2, 2, 3], [0.9, 0.6, 0.8, 0.3, 0.7, 0.5], [True] * 6)
    flags = np.array([False, True, True, True, False, False])
    shown = repr(prediction_ood_detection(p, flags, resamples=3))  # nan where a resample holds one kind only
    assert shown == repr(prediction_ood_detection(p, flags, resamples=3, seed=0))
    assert shown != repr(prediction_ood_detection(p, flags, resamples=3, seed=1))


def test_posts_of_two_data_sets_are_resampled_independently_and_pairs_together():
    apart = np.array(list(resample_separately(5, 5, 50, 2)))
    assert apart.shape == (50, 10)
    assert (apart[:, :5].sum(1) == 5).all()
    assert (apart[:, 5:].sum(1) == 5).all()
    assert (apart[:, :5] != apart[:, 5:]).any()
    assert (apart == list(resample_separately(5, 5, 50, 2))).all()
    together = np.array(list(resample_pairs(5, 5, 50, 2)))
    assert together.shape == (50, 10)
    assert (together[:, :5] == together[:, 5:]).all()
    assert (together[:, :5] == apart[:, :5]).all()  # of one seed


def test_base_rate_of_ood_items():
    found = post_ood_detection({"a": np.array([0.1, 0.2, 0.3])}, {"a": np.array([0.4])}, resamples=5)["a"]
    assert found.base_rate == 0.25
    nothing = post_ood_detection({"a": np.array([])}, {"a": np.array([])}, resamples=5)["a"]
    assert math.isnan(nothing.base_rate)
    assert (nothing.in_domain, nothing.ood) == (0, 0)


def test_a_model_that_predicts_nothing_has_no_metrics_but_an_f1():
    collector = PredictionCollector()
    collector.add_entities([], [entity(0, "PER")])
    found = data_metrics(collector.predictions(), 1, labelled=True)
    assert (found.items, found.predicted, found.f1) == (1, 0, 0)
    assert all(math.isnan(x) for x in (found.confidence, found.accuracy, found.ece))
    unlabelled = data_metrics(collector.predictions(), 1, labelled=False)
    assert all(
        math.isnan(x) for x in (unlabelled.confidence, unlabelled.accuracy, unlabelled.f1, unlabelled.ece)
    )
