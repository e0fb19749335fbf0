"""What is fitted for relations and described, against the functions that have tests of their own."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_predicted_relations import LABELS, drawn

from twofold.calibration.calibration import to_record
from twofold.calibration.data_set_metrics import relation_metrics
from twofold.calibration.fit import fit_relations
from twofold.calibration.methods import METHODS
from twofold.calibration.relation_rule import RelationRuleFit
from twofold.calibration.relations import calibrate_relations, concatenated, evaluate_end_to_end
from twofold.calibration.risk_control import control_risk
from twofold.calibration.splits import in_tuning_split
from twofold.crf import DecisionRule
from twofold.evaluation.calibration_error import calibration_metrics
from twofold.evaluation.trust_report import to_json
from twofold.posts import Post

pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture(scope="module")
def data_sets():
    other = drawn(150, 2)
    posts = [Post(f"b{post.id}", f"other {post.text}", relations=post.relations) for post in other.posts]
    return {"a": drawn(250, 1), "b": other._replace(posts=posts)}


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


def test_options_reach_what_they_are_of(data_sets):
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


def test_metrics_of_a_data_set_are_of_its_calibration_split(data_sets):
    calibration, _ = calibrate_relations(LABELS, concatenated(data_sets))
    found = relation_metrics(LABELS, data_sets, calibration)
    assert list(found) == ["a", "b"]
    for name, data in data_sets.items():
        tuning = in_tuning_split([post.text for post in data.posts])
        rows = [
            (
                item.prediction.scores,
                item.prediction.class_index,
                item.relation.type == post.relations[0].type,
            )
            for post, row, first in zip(data.posts, data.predicted, tuning, strict=True)
            if not first
            for item in row
        ]
        scores, index, right = (np.array(column) for column in zip(*rows, strict=True))
        powers = np.exp((scores - scores.max(1, keepdims=True)) / calibration.temperature)
        confidence = (powers / powers.sum(1, keepdims=True))[np.arange(len(index)), index]
        metrics = found[name]
        assert tuple(metrics.posts) == (tuning.sum(), (~tuning).sum())
        assert (metrics.predictions, metrics.right) == (len(right), right.sum())
        known = [post.relations[0].type != "None" for post in data.posts]
        assert metrics.missed == np.array(known)[~tuning].sum() - right.sum()
        after = {name: interval.value for name, interval in metrics.after.items()}
        assert after == pytest.approx(calibration_metrics(confidence, right))
        # Told before calibration is the confidence that came with the relation, 0.5.
        assert metrics.before["confidence"].value == pytest.approx(0.5)
        threshold = control_risk(calibration.risk_curve, 0.2).threshold
        if threshold is not None:
            assert metrics.accepted["0.20"].accepted == (confidence >= threshold).sum()
            assert metrics.accepted["0.20"].wrong == (~right[confidence >= threshold]).sum()
