"""The report against a case by hand, and against the functions it is made of."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import to_json, trust_report
from twofold.posts import Entity, Relation, SourceEvidence, Uncertainty


def entity(start, end, kind, confidence=None, uncertainty=None, **shares):
    sources = {name: SourceEvidence(share, 0.0, 0.0) for name, share in shares.items()}
    return Entity(start, end, "x", kind, confidence, uncertainty, sources)


@pytest.fixture
def collected():
    """Right, wrong type, wrong border, spurious, a post in which nothing was found, and one with nothing."""
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
    assert math.isnan(report.calibration["LOC"].metrics["ece"].value)  # silent on LOC: not calibrated
    assert report.error_detection["confidence"]["all"].auroc == 1
    # Errors of kind spurious against what is right, and no other: 0.4 against 0.1.
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


def test_nothing_found_and_nothing_there():
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


def test_models_without_evidence_have_a_confidence_only():
    collector = PredictionCollector()
    collector.add_entities([entity(0, 1, "PER", 0.5)], [])
    report = trust_report(collector.predictions(), resamples=5)
    assert list(report.error_detection) == ["confidence"]
    assert report.modalities == {}


def test_relations_of_given_pairs_by_hand():
    ends = entity(0, 1, "PER"), entity(2, 3, "ORG")

    def pair(kind, confidence=None):
        return Relation(
            *ends, kind, confidence, Uncertainty(0.1, 0.2), {"text": SourceEvidence(1.0, 0.1, 0.2)}
        )

    collector = PredictionCollector()
    said = [pair("works", 0.9), pair("works", 0.8), pair("works", 0.6), pair("None", 0.7), pair("None", 0.9)]
    gold = [pair("works"), pair("owns"), pair("None"), pair("owns"), pair("None")]
    collector.add_pairs(said, gold)
    collector.add_pairs([pair("owns", 0.5)], [pair("owns")])
    found = collector.predictions()
    assert found.error_type.tolist() == ["right", "wrong_relation", "spurious", "right"]
    assert found.confidence.tolist() == [0.9, 0.8, 0.6, 0.5]
    assert found.post.tolist() == [0, 0, 0, 1]
    assert found.missed_type.tolist() == ["owns", "owns"]
    assert (found.posts, found.gold) == (2, 4)
    assert found.uncertainty["total"] == pytest.approx([0.3] * 4)


def test_relations_whichever_end_is_the_head_by_hand():
    one, two, three = entity(0, 1, "PER"), entity(2, 3, "ORG"), entity(4, 5, "PER")
    gold = [Relation(one, two, "works"), Relation(three, one, "peer"), Relation(two, three, "None")]
    collector = PredictionCollector()
    told = [Relation(one, two, "works", 0.9), Relation(one, three, "peer", 0.8)]
    unknown = Relation(two, entity(7, 8, "LOC"), "seat", 0.7)
    left_out = collector.add_triples(
        [*told, unknown], gold, complete=False, symmetric={"peer"}, uncalibrated=[0.99, 0.98, 0.97]
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
    strict.add_triples(told, gold, complete=False)
    assert strict.predictions().error_type.tolist() == ["right", "wrong_direction"]
    assert strict.predictions().missed_type.tolist() == ["peer"]
