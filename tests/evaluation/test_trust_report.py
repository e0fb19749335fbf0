"""The report against a case by hand, and against the functions it is computed with."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from twofold.evaluation.bootstrap import (
    Interval,
    bootstrap_metrics,
    percentile_interval,
    reflected_interval,
)
from twofold.evaluation.calibration_error import (
    calibration_error,
    calibration_error_if_calibrated,
    calibration_metrics,
    reliability,
)
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.selective import (
    best_f1,
    operating_point,
    risk_coverage_curve,
    selective_metrics,
)
from twofold.evaluation.trust_report import to_json, trust_report
from twofold.posts import Entity, Relation, SourceEvidence, Uncertainty


def entity(start, end, kind, confidence=None, uncertainty=None, **shares):
    sources = {name: SourceEvidence(share, 0.0, 0.0) for name, share in shares.items()}
    return Entity(start, end, "x", kind, confidence, uncertainty, sources)


@pytest.fixture
def collected():
    """Right, wrong type, wrong boundary, spurious; a post without predictions, and one without gold, too."""
    collector = PredictionCollector()
    found = [
        entity(0, 3, "PER", 0.9, Uncertainty(0.1, 0.2), text=0.8, picture=0.2),
        entity(5, 8, "ORG", 0.6, Uncertainty(0.3, 0.1), text=0.6, picture=0.4),
    ]
    collector.add_entities(found, [entity(0, 3, "PER"), entity(5, 8, "LOC")])
    found = [
        entity(0, 3, "PER", 0.5, Uncertainty(0.2, 0.5), text=1.0),
        entity(7, 9, "PER", 0.7, Uncertainty(0.4, 0.4), text=1.0),
    ]
    collector.add_entities(found, [entity(0, 4, "PER")])
    collector.add_entities([], [entity(0, 4, "LOC"), entity(0, 4, "LOC")])
    collector.add_entities([], [])
    return collector.predictions()


def test_predictions_by_hand(collected):
    assert collected.error_type.tolist() == ["right", "wrong_type", "wrong_boundary", "spurious"]
    assert collected.right.tolist() == [True, False, False, False]
    assert collected.post.tolist() == [0, 0, 1, 1]
    assert (collected.posts, collected.gold) == (4, 4)
    assert sorted(zip(collected.missed_type.tolist(), collected.missed_post.tolist(), strict=True)) == [
        ("LOC", 0), ("LOC", 2), ("PER", 1),
    ]  # fmt: skip
    assert collected.uncertainty["total"] == pytest.approx([0.3, 0.4, 0.7, 0.8])
    assert collected.share["picture"][:2].tolist() == [0.2, 0.4]
    assert np.isnan(collected.share["picture"][2:]).all()


def test_report_by_hand(collected):
    report = trust_report(collected, resamples=20)
    assert report.error_types == {"right": 1, "spurious": 1, "wrong_boundary": 1, "wrong_type": 1}
    columns = {k: (c.predictions, c.right, c.missed) for k, c in report.calibration.items()}
    assert columns == {"all": (4, 1, 3), "LOC": (0, 0, 2), "ORG": (1, 0, 0), "PER": (3, 1, 1)}
    assert math.isnan(report.calibration["LOC"].metrics["ece"].value)  # nan without predictions of LOC
    assert report.error_detection["confidence"]["all"].auroc == 1
    # Only spurious errors against right predictions: 0.4 against 0.1.
    assert report.error_detection["aleatoric"]["spurious"].negatives == 1
    assert report.error_detection["epistemic"]["wrong_type"].auroc == 0  # 0.1 against 0.2
    assert report.error_detection["epistemic"]["all"].auroc == pytest.approx(2 / 3)
    assert report.modalities["text"].share == pytest.approx(3.4 / 4)
    assert report.modalities["picture"].predictions == 2
    assert (report.modalities["picture"].share_right, report.modalities["picture"].share_wrong) == (0.2, 0.4)
    assert report.selective.best_f1.f1 == pytest.approx(2 / (1 + 4))
    assert [bar.predictions for bar in report.reliability if bar.predictions] == [1, 1, 1, 1]


def resampled(n=300, posts=100, seed=0):
    random = np.random.default_rng(seed)
    confidence = random.beta(3, 1, n)
    right = random.random(n) < confidence
    kind = np.where(right, "right", random.choice(["wrong_type", "spurious"], n))
    uncertainty = {"aleatoric": 1 - confidence + 0.3 * random.random(n), "epistemic": random.random(n)}
    types, post = random.choice(["PER", "LOC"], n), np.sort(random.integers(0, posts, n))
    missed = np.array(["PER"] * 9), np.arange(9)
    return Predictions(confidence, kind, types, post, posts, *missed, uncertainty, {"text": np.ones(n)})


def test_values_are_those_of_the_functions_and_lie_in_their_intervals():
    p = resampled()
    report = trust_report(p, resamples=200)
    mine = p.type == "LOC"
    assert report.calibration["LOC"].metrics["ece"].value == calibration_error(
        p.confidence[mine], p.right[mine]
    )
    auroc = detection_metrics(1 - p.confidence, ~p.right).auroc
    assert (
        report.error_auroc["confidence"].value == report.error_detection["confidence"]["all"].auroc == auroc
    )
    intervals = [*report.calibration["all"].metrics.values(), *report.error_auroc.values()]
    intervals += report.selective.metrics.values()
    assert all(i.low <= i.value <= i.high and i.low < i.high for i in intervals)
    assert list(report.error_detection) == ["confidence", "aleatoric", "epistemic"]


def test_uncertainties_of_some_predictions_only():
    p = resampled()
    p.uncertainty["aleatoric"][::2] = math.nan
    report = trust_report(p, resamples=5)
    assert report.error_detection["aleatoric"]["all"] == detection_metrics(
        p.uncertainty["aleatoric"][1::2], ~p.right[1::2]
    )


def test_report_becomes_json():
    report = to_json(trust_report(resampled(), resamples=5))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["calibration"]["PER"]["metrics"]["ece"].keys() == {"value", "low", "high"}
    assert report["selective"]["curve"][-1]["coverage"] == 1.0


def test_no_predictions_and_no_posts():
    collector = PredictionCollector()
    collector.add_entities([], [entity(0, 1, "PER")])
    report = to_json(trust_report(collector.predictions(), resamples=5))
    assert report["calibration"]["all"]["missed"] == 1
    assert report["calibration"]["all"]["metrics"]["ece"]["value"] is None
    assert report["error_detection"]["confidence"]["all"]["auroc"] is None
    assert report["selective"]["curve"] == []
    nothing = to_json(trust_report(PredictionCollector().predictions(), resamples=5))
    assert nothing["posts"] == 0
    json.dumps([report, nothing], allow_nan=False)


def test_models_without_evidence_have_only_a_confidence():
    collector = PredictionCollector()
    collector.add_entities([entity(0, 1, "PER", 0.5)], [])
    report = trust_report(collector.predictions(), resamples=5)
    assert list(report.error_detection) == ["confidence"]
    assert report.modalities == {}


def test_relations_of_gold_pairs_by_hand():
    arguments = entity(0, 1, "PER"), entity(2, 3, "ORG")

    def pair(kind, confidence=None):
        return Relation(
            *arguments, kind, confidence, Uncertainty(0.1, 0.2), {"text": SourceEvidence(1.0, 0.1, 0.2)}
        )

    collector = PredictionCollector()
    predicted = [
        pair("works", 0.9),
        pair("works", 0.8),
        pair("works", 0.6),
        pair("None", 0.7),
        pair("None", 0.9),
    ]
    gold = [pair("works"), pair("owns"), pair("None"), pair("owns"), pair("None")]
    collector.add_pairs(predicted, gold)
    collector.add_pairs([pair("owns", 0.5)], [pair("owns")])
    found = collector.predictions()
    assert found.error_type.tolist() == ["right", "wrong_relation", "spurious", "right"]
    assert found.confidence.tolist() == [0.9, 0.8, 0.6, 0.5]
    assert found.post.tolist() == [0, 0, 0, 1]
    assert found.missed_type.tolist() == ["owns", "owns"]
    assert (found.posts, found.gold) == (2, 4)
    assert found.uncertainty["total"] == pytest.approx([0.3] * 4)


def test_relations_with_either_argument_as_the_head_by_hand():
    one, two, three = entity(0, 1, "PER"), entity(2, 3, "ORG"), entity(4, 5, "PER")
    gold = [Relation(one, two, "works"), Relation(three, one, "peer"), Relation(two, three, "None")]
    collector = PredictionCollector()
    predicted = [Relation(one, two, "works", 0.9), Relation(one, three, "peer", 0.8)]
    unknown = Relation(two, entity(7, 8, "LOC"), "seat", 0.7)
    left_out = collector.add_triples(
        [*predicted, unknown], gold, complete=False, symmetric={"peer"}, uncalibrated=[0.99, 0.98, 0.97]
    )
    assert left_out == 1
    assert collector.add_triples([], gold[:1], complete=False) == 0
    assert collector.add_triples([unknown], gold[:1], complete=True, uncalibrated=[0.6]) == 0
    found = collector.predictions()
    assert found.error_type.tolist() == ["right", "right", "spurious"]
    assert found.post.tolist() == [0, 0, 2]
    assert found.uncalibrated.tolist() == [0.99, 0.98, 0.6]
    assert (found.missed_type.tolist(), found.missed_post.tolist()) == (["works", "works"], [1, 2])
    strict = PredictionCollector()
    strict.add_triples(predicted, gold, complete=False)
    assert strict.predictions().error_type.tolist() == ["right", "wrong_direction"]
    assert strict.predictions().missed_type.tolist() == ["peer"]


def reflected_or_percentile(name, value, resampled):
    return (reflected_interval if name in ("ece", "adaptive_ece") else percentile_interval)(value, resampled)


def test_intervals_resample_posts_as_requested():
    """Expected calibration errors are reflected, all else is by percentiles; by type, too."""
    p = replace(resampled(), uncalibrated=np.random.default_rng(9).random(300))
    p.uncertainty["epistemic"][:150] = math.nan
    report = trust_report(p, resamples=30, seed=4)

    def check(found, metrics):
        values = metrics(np.ones(p.posts))
        samples = bootstrap_metrics(metrics, p.posts, resamples=30, seed=4)
        assert found == {name: reflected_or_percentile(name, v, samples[name]) for name, v in values.items()}

    for of, confidence in ((report, p.confidence), (report.uncalibrated, p.uncalibrated)):
        assert list(of.calibration) == ["all", "LOC", "PER"]
        for kind, found in of.calibration.items():
            mask = (p.type == kind) | (kind == "all")
            c, right, post = confidence[mask], p.right[mask], p.post[mask]
            assert found.ece_if_calibrated == calibration_error_if_calibrated(c)
            assert (found.predictions, found.right) == (mask.sum(), right.sum())
            assert found.missed == {"all": 9, "LOC": 0, "PER": 9}[kind]
            check(found.metrics, lambda w, c=c, r=right, post=post: calibration_metrics(c, r, w[post]))
        assert of.reliability == reliability(confidence, p.right)
    check(report.selective.metrics, lambda w: selective_metrics(p.confidence, p.right, w[p.post]))
    scores = {"confidence": 1 - p.confidence, **p.uncertainty}

    def aurocs(w):
        known = {name: np.isfinite(score) for name, score in scores.items()}
        return {
            name: detection_metrics(score[known[name]], ~p.right[known[name]], w[p.post[known[name]]]).auroc
            for name, score in scores.items()
        }

    check(report.error_auroc, aurocs)
    curve = risk_coverage_curve(p.confidence, p.right)
    points = [operating_point(curve, p.gold, i / 20) for i in range(1, 21)]
    assert list(report.selective.curve) == points
    assert report.selective.best_f1 == best_f1(curve, p.gold)


def test_the_default_seed_is_0():
    p = resampled(60, 20)
    assert to_json(trust_report(p, resamples=5)) == to_json(trust_report(p, resamples=5, seed=0))
    assert to_json(trust_report(p, resamples=5)) != to_json(trust_report(p, resamples=5, seed=1))
    assert trust_report(p, resamples=5).uncalibrated is None


def test_a_modality_of_right_predictions_only():
    collector = PredictionCollector()
    collector.add_entities([entity(0, 1, "PER", 0.9, text=0.25)], [entity(0, 1, "PER")])
    text = trust_report(collector.predictions(), resamples=5).modalities["text"]
    assert (text.predictions, text.share, text.share_right) == (1, 0.25, 0.25)
    assert math.isnan(text.share_wrong)


def test_empty_arrays_have_the_same_types():
    nothing = PredictionCollector().predictions()
    kinds = {
        name: getattr(nothing, name).dtype.kind
        for name in ("confidence", "error_type", "type", "post", "missed_type", "missed_post")
    }
    assert kinds == {
        "confidence": "f", "error_type": "U", "type": "U", "post": "i", "missed_type": "U", "missed_post": "i"
    }  # fmt: skip
    assert (nothing.posts, nothing.gold, nothing.uncertainty, nothing.share) == (0, 0, {}, {})


def test_uncertainties_and_confidences_before_calibration_of_some_only():
    collector = PredictionCollector()
    known = entity(0, 1, "PER", 0.9, Uncertainty(0.1, 0.2), text=1.0)
    collector.add_entities([known, entity(2, 3, "PER", 0.8)], [], [0.7, 0.6])
    found = collector.predictions()
    assert found.uncalibrated.tolist() == [0.7, 0.6]
    assert found.confidence.dtype == np.float64
    for name, value in (("aleatoric", 0.1), ("epistemic", 0.2), ("total", 0.3)):
        assert found.uncertainty[name][0] == pytest.approx(value)
        assert math.isnan(found.uncertainty[name][1])
    assert (found.share["text"][0], math.isnan(found.share["text"][1])) == (1, True)
    collector.add_entities([entity(4, 5, "PER", 0.7)], [])
    assert collector.predictions().uncalibrated is None  # not known of all


def test_plain_data_by_hand():
    span = Interval(0.123456789, math.nan, math.inf)
    assert to_json({1: [span, (2, "x"), True, None]}) == {
        "1": [{"value": 0.123457, "low": None, "high": None}, [2, "x"], True, None]
    }
    assert to_json([0.123456789, {"a": (0.98765,)}, span], 2) == [
        0.12, {"a": [0.99]}, {"value": 0.12, "low": None, "high": None},
    ]  # fmt: skip
    whole = to_json(trust_report(resampled(60, 20), resamples=5), 3)
    assert whole["selective"]["best_f1"]["f1"] == round(whole["selective"]["best_f1"]["f1"], 3)
    assert whole["modalities"] == {
        "text": {"predictions": 60, "share": 1.0, "share_right": 1.0, "share_wrong": 1.0}
    }
