"""What is fitted on which split, against the fitting functions; and the stored file."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from twofold.calibration.calibrate import MIN_PREDICTIONS, calibrate
from twofold.calibration.calibration import Calibration, from_record, read_calibration, to_record
from twofold.calibration.conformal import fit_quantiles, set_metrics
from twofold.calibration.isotonic import Isotonic
from twofold.calibration.methods import METHODS, one_temperature, temperature_by_type
from twofold.calibration.relations import LabelledRelations
from twofold.calibration.risk_control import ScoredPredictions, control_risk, risk_curve
from twofold.calibration.splits import in_tuning_split
from twofold.crf import DecisionRule
from twofold.errors import DataError, ModelError
from twofold.evaluation.calibration_error import calibration_error_if_calibrated, calibration_metrics

CLASSES = ("None", "member", "peer")


def labelled(post, posts, seed=0) -> LabelledRelations:
    """Predictions in the given posts, labels drawn at a temperature of 2."""
    random = np.random.default_rng(seed)
    scores = 3 * random.standard_normal((len(post), 3))
    probabilities = np.exp(scores / 2)
    probabilities /= probabilities.sum(1, keepdims=True)
    labels = (probabilities.cumsum(1) < random.random((len(post), 1))).sum(1)
    predicted = scores.argmax(1)
    return LabelledRelations(CLASSES, scores, predicted, labels, labels == predicted, np.array(post), posts)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(("score", "seed"), [("lac", 0), ("raps", 5)])
def test_each_part_is_fitted_and_measured_on_its_split(method, score, seed):
    data = labelled(np.repeat(np.arange(100), 3), 110)  # ten posts have none
    names = [f"post {i}" for i in range(110)]
    found, report = calibrate(data, names, "relations", method=METHODS[method], score=score, seed=seed)
    tuning = in_tuning_split(names, seed)
    first, second = data.select_posts(tuning), data.select_posts(~tuning)
    fitted = METHODS[method](first)
    assert (found.temperature, found.temperature_by_type) == (fitted.temperature, fitted.temperature_by_type)
    assert (found.isotonic is None) == (method != "isotonic")

    def scored(part):
        return ScoredPredictions(part.confidences(fitted), part.right, part.post)

    curve = risk_curve(scored(first), scored(second))
    probabilities = second.probabilities(fitted)
    quantiles = fit_quantiles(probabilities, second.labels, CLASSES, score)
    expected = replace(fitted, risk_curve=curve, conformal=quantiles)
    assert to_record(found) == to_record(expected)
    assert tuple(report.posts) == (tuning.sum(), (~tuning).sum())
    assert tuple(report.predictions) == (len(first.right), len(second.right))
    assert report.before == calibration_metrics(second.confidences(Calibration(1.0)), second.right)
    assert report.after == calibration_metrics(second.confidences(fitted), second.right)
    assert report.ece_if_calibrated == calibration_error_if_calibrated(second.confidences(fitted))
    assert report.risk_control == tuple(control_risk(curve, e) for e in (0.02, 0.05, 0.1, 0.2))
    assert list(report.prediction_sets) == ["0.80", "0.90", "0.95"]
    for coverage in (0.8, 0.9, 0.95):
        sets = quantiles.prediction_sets(first.probabilities(fitted), coverage)
        sets[np.arange(len(sets)), first.predicted] = True
        assert report.prediction_sets[f"{coverage:.2f}"] == set_metrics(sets, first.labels)


def test_defaults_are_one_temperature_lac_and_seed_0():
    data = labelled(np.repeat(np.arange(100), 2), 100)
    plain, report = calibrate(data, range(100), "x")
    same = calibrate(data, range(100), "x", method=one_temperature, score="lac", seed=0)
    assert (to_record(plain), report.after) == (to_record(same[0]), same[1].after)


def test_thirty_predictions_in_each_split_are_enough_and_29_are_not():
    names = list(range(200))
    tuning = in_tuning_split(names)
    for few in (np.flatnonzero(tuning)[:30], np.flatnonzero(~tuning)[:30]):
        other = np.flatnonzero(tuning != tuning[few[0]])[:40]
        enough = np.sort(np.r_[few, other])
        calibrate(labelled(enough, 200), names, "relations")
        with pytest.raises(DataError) as raised:
            calibrate(labelled(np.sort(np.r_[few[1:], other]), 200), names, "relations")
        assert (raised.value.what, raised.value.expected, raised.value.do) == (
            "the model predicts 29 relations in one half of the posts",
            f"at least {MIN_PREDICTIONS}, and some hundreds for narrow intervals",
            "calibrate on more labelled posts, or entities only (--no-relations)",
        )


def test_fifty_predictions_of_a_class_give_it_a_temperature_of_its_own():
    data = labelled(np.arange(400), 400)
    for count, own in ((50, True), (49, False)):
        members = np.flatnonzero(data.predicted == 1)[:count]
        kept = np.sort(np.r_[members, np.flatnonzero(data.predicted == 2)])
        mask = np.zeros(400, bool)
        mask[kept] = True
        part = data.select_posts(mask)
        fitted = temperature_by_type(part)
        assert ("member" in fitted.temperature_by_type) == own
        assert "None" not in fitted.temperature_by_type  # it was never predicted here
        assert fitted.temperature_by_type["peer"] == one_temperature(part.of_class(2)).temperature
        assert fitted.temperature == one_temperature(part).temperature


# --- as a record ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    found, _ = calibrate(labelled(np.repeat(np.arange(60), 2), 60), range(60), "x")
    isotonic = Isotonic(np.array([0.0, 1.0]), np.array([0.1, 0.9]))
    rule = DecisionRule(0.4, 1.3)
    return replace(found, temperature_by_type={"peer": 2.5}, isotonic=isotonic, decision_rule=rule)


def test_a_record_round_trip_keeps_every_part(whole):
    record = to_record(whole)
    assert list(record) == [
        "temperature", "temperature_by_type", "decision_rule", "isotonic", "risk_curve", "conformal",
    ]  # fmt: skip
    assert record["decision_rule"] == {"threshold": 0.4, "temperature": 1.3}
    assert record["isotonic"] == {"confidence": [0.0, 1.0], "calibrated": [0.1, 0.9]}
    assert record["risk_curve"]["correlation"] == whole.risk_curve.correlation
    assert record["conformal"]["classes"] == list(CLASSES)
    assert record["conformal"]["marginal"][-1] is None  # infinity
    again = from_record(json.loads(json.dumps(record, allow_nan=False)) | {"fitted_on": ["x"]})
    assert (again.temperature, again.temperature_by_type) == (whole.temperature, {"peer": 2.5})
    assert again.decision_rule == DecisionRule(0.4, 1.3)
    for name in ("isotonic", "risk_curve", "conformal"):
        mine, theirs = getattr(again, name), getattr(whole, name)
        for key in theirs.__slots__:
            np.testing.assert_array_equal(getattr(mine, key), getattr(theirs, key))
    assert again.conformal.marginal[-1] == math.inf
    assert again.conformal.class_counts == whole.conformal.class_counts
    assert again.temperature_of("peer") == 2.5
    assert again.temperature_of("member") == again.temperature


def test_a_temperature_alone():
    assert to_record(Calibration(1.3)) == {"temperature": 1.3}
    assert from_record({"temperature": "1.3"}) == Calibration(1.3)
    assert from_record({"temperature": 2, "temperature_by_type": {}}) == Calibration(2.0)


WRONG = "holds a value of the wrong type, or a key is missing or unknown"


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("temperature", None, f"temperature {WRONG}"),
        ("temperature", 0, "temperature: 0 is not a finite number above 0"),
        ("temperature", "inf", "temperature: inf is not a finite number above 0"),
        ("temperature", "nan", "temperature: nan is not a finite number above 0"),
        ("temperature_by_type", {"PER": -1}, "temperature_by_type: -1 is not a finite number above 0"),
        ("isotonic", {"confidence": [0, 1], "calibrated": [1]}, "isotonic: its lists have different lengths"),
        ("isotonic", {"confidence": [0, 1]}, f"isotonic {WRONG}"),
        ("risk_curve", {"threshold": [1, 0]}, "risk_curve has no correlation"),
        ("risk_curve", {"correlation": 0}, "risk_curve: its lists have different lengths"),
        ("conformal", {"classes": ["a"]}, "conformal has no score"),
        ("decision_rule", {"threshold": 0.3, "other": 1}, f"decision_rule {WRONG}"),
    ],
)
def test_invalid_parts_of_a_record_are_named(part, value, message, tmp_path):
    record = {"temperature": 1.0} | {part: value}
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.") + "$"):
        from_record(record)
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ModelError) as raised:
        read_calibration(path)
    assert raised.value.what == f"the calibration cannot be read: {message}"
    assert raised.value.where == str(path)
    assert raised.value.do == "calibrate the model again: twofold calibrate MODEL DATA -o OUT"


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("score", lambda value: "other"),
        ("marginal", lambda value: value[1:]),
        ("per_class", lambda value: value[1:]),
        ("per_class", lambda value: [row[1:] for row in value]),
        ("classes", lambda value: [*value, "more"]),
    ],
)
def test_quantiles_of_the_wrong_shape_are_refused(whole, key, change):
    record = to_record(whole)
    conformal = record["conformal"]
    with pytest.raises(
        ValueError, match=r"^conformal: the quantiles have the wrong shape or an unknown score$"
    ):
        from_record(record | {"conformal": conformal | {key: change(conformal[key])}})
