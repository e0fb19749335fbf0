"""Fit and description of a calibration of relations, against the functions they are built from."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_predicted_relations import LABELS, drawn

from twofold.calibration.calibration import Calibration, to_record
from twofold.calibration.conformal import set_metrics
from twofold.calibration.data_set_metrics import relation_metrics
from twofold.calibration.fit import fit_relations
from twofold.calibration.methods import METHODS
from twofold.calibration.relation_rule import RelationRuleFit
from twofold.calibration.relations import calibrate_relations, concatenated, evaluate_end_to_end
from twofold.calibration.risk_control import control_risk
from twofold.calibration.splits import in_tuning_split
from twofold.crf import DecisionRule
from twofold.evaluation.calibration_error import calibration_error_if_calibrated, calibration_metrics
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.selective import selective_metrics
from twofold.evaluation.trust_report import to_json
from twofold.posts import Post, Relation

pytestmark = pytest.mark.usefixtures("few_resamples")


def reversed_peers(post, name):
    """A post of another data set, with head and tail of gold ``peer`` relations swapped."""
    (gold,) = post.relations
    relation = Relation(gold.tail, gold.head, "peer") if gold.type == "peer" else gold
    return Post(f"{name}{post.id}", f"{name} {post.text}", relations=(relation,))


@pytest.fixture(scope="module")
def data_sets():
    return {
        name: data._replace(posts=[reversed_peers(post, name) for post in data.posts])
        for name, data in (("a", drawn(250, 1)), ("b", drawn(150, 2)))
    }


def plain(fit):
    return to_json(to_record(fit.calibration))


def test_relations_are_calibrated_on_all_data_sets_and_measured_on_each(data_sets):
    fit = fit_relations(LABELS, data_sets)
    calibration, report = calibrate_relations(LABELS, concatenated(data_sets))
    assert plain(fit) == to_json(to_record(calibration))
    assert fit.report == report
    assert fit.description == {
        "method": "temperature",
        "score": "lac",
        "seed": 0,
        "fitted_on": ["a", "b"],
        "report": to_json(report),
        "by_data_set": to_json(relation_metrics(LABELS, data_sets, calibration)),
    }
    assert (fit.end_to_end, fit.decision_rule_fit) == (None, None)


def test_options_are_passed_on(data_sets):
    options = {"symmetric": {"peer"}, "score": "raps", "seed": 3}
    rule = DecisionRule(0.3, 1.5)
    rule_fit = RelationRuleFit(rule, 0.6, 0.5)
    fit = fit_relations(
        LABELS, data_sets, end_to_end=data_sets, rule=rule, rule_fit=rule_fit, method="isotonic", **options
    )
    calibration, report = calibrate_relations(
        LABELS, concatenated(data_sets), method=METHODS["isotonic"], **options
    )
    assert fit.calibration.decision_rule == rule
    assert plain(fit) == to_json(to_record(calibration)) | {"decision_rule": rule._asdict()}
    assert fit.report == report
    whole = evaluate_end_to_end(calibration, LABELS, concatenated(data_sets), symmetric={"peer"}, seed=3)
    assert fit.end_to_end == whole
    metrics = relation_metrics(LABELS, data_sets, calibration, symmetric={"peer"}, seed=3)
    assert fit.description == {
        "method": "isotonic",
        "score": "raps",
        "seed": 3,
        "fitted_on": ["a", "b"],
        "report": to_json(report),
        "by_data_set": to_json(metrics),
        "decision_rule_fit": {
            "decision_rule": {"threshold": 0.3, "temperature": 1.5}, "f1": 0.6, "f1_most_probable": 0.5
        },
        "end_to_end": to_json(whole),
    }  # fmt: skip
    assert fit.decision_rule_fit == rule_fit


@pytest.mark.parametrize("symmetric", [(), ("peer",)])
@pytest.mark.parametrize("seed", [0, 3])
def test_metrics_of_a_data_set_are_of_its_calibration_split(data_sets, symmetric, seed):
    calibration, _ = calibrate_relations(
        LABELS, concatenated(data_sets), symmetric=symmetric, seed=seed, score="raps"
    )
    found = relation_metrics(LABELS, data_sets, calibration, symmetric=symmetric, seed=seed)
    assert list(found) == ["a", "b"]
    for name, data in data_sets.items():
        tuning = in_tuning_split([post.text for post in data.posts], seed)
        rows, classes = {True: [], False: []}, {True: [], False: []}
        for post, row, first in zip(data.posts, data.predicted, tuning.tolist(), strict=True):
            (gold,) = post.relations
            for item in row:
                same = item.relation.type == gold.type and (gold.type != "peer" or bool(symmetric))
                index = item.prediction.class_index
                rows[first].append((item.prediction.scores, index, same))
                # A relation that holds only in the other direction counts as "None" in the predicted one.
                truth = "None" if gold.type == "peer" and not symmetric else gold.type
                classes[first].append(LABELS.index(truth))
        scores, index, right = (np.array(column) for column in zip(*rows[False], strict=True))
        confidence = softmax(scores / calibration.temperature)[np.arange(len(index)), index]
        metrics = found[name]
        assert tuple(metrics.posts) == (tuning.sum(), (~tuning).sum())
        assert (metrics.predictions, metrics.right) == (len(right), right.sum())
        known = np.array([post.relations[0].type != "None" for post in data.posts])
        assert metrics.missed == known[~tuning].sum() - right.sum()
        after = {name: interval.value for name, interval in metrics.after.items()}
        assert after == pytest.approx(calibration_metrics(confidence, right))
        # Before calibration, the confidence is the one that the relation was predicted with, 0.5.
        assert metrics.before["confidence"].value == pytest.approx(0.5)
        assert metrics.ece_if_calibrated == pytest.approx(calibration_error_if_calibrated(confidence))
        assert metrics.selective["aurc"].value == pytest.approx(selective_metrics(confidence, right)["aurc"])
        assert metrics.error_auroc["confidence"].value == pytest.approx(
            detection_metrics(1 - confidence, ~right).auroc
        )
        for error in (0.02, 0.05, 0.1, 0.2):
            threshold = control_risk(calibration.risk_curve, error).threshold
            accepted = metrics.accepted.get(f"{error:.2f}")
            if threshold is None:
                assert accepted is None
            else:
                above = confidence >= threshold
                assert (accepted.accepted, accepted.wrong) == (above.sum(), (~right[above]).sum())
        tuned, index, _ = (np.array(column) for column in zip(*rows[True], strict=True))
        probabilities = softmax(tuned / calibration.temperature)
        assert list(metrics.prediction_sets) == ["0.80", "0.90", "0.95"]
        sets = calibration.conformal.prediction_sets(probabilities, 0.9)
        sets[np.arange(len(sets)), index] = True
        assert metrics.prediction_sets["0.90"] == set_metrics(sets, np.array(classes[True]))


def softmax(scores):
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_a_temperature_alone_has_neither_thresholds_nor_sets(data_sets):
    metrics = relation_metrics(LABELS, {"a": data_sets["a"]}, Calibration(1.4))["a"]
    assert (metrics.accepted, metrics.prediction_sets) == ({}, {})
