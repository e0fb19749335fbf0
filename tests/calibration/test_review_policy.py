"""Decisions of a review policy, and messages where no threshold guarantees an error rate."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_encoded_posts import LABELS
from tiny_predicted_relations import LABELS as RELATIONS

from twofold.calibration.calibration import Calibration, to_record
from twofold.calibration.conformal import fit_quantiles
from twofold.calibration.entities import class_probabilities, span_confidences
from twofold.calibration.relations import relation_probabilities
from twofold.calibration.review_policy import (
    CalibratedEntityDecider,
    CalibratedRelationDecider,
    ReviewPolicy,
    _remedy,
    achievable_error,
    entity_decider,
    following_relation_decider,
    no_threshold_reason,
    relation_decider,
)
from twofold.calibration.risk_control import ScoredPredictions, control_risk, risk_curve
from twofold.crf import ChainDecoder
from twofold.errors import ConfigError, ModelError
from twofold.inference.confidence import Decision


def control(right, max_error, confidence=None):
    """Risk control on predictions with decreasing confidences, the same on both splits."""
    right = np.array(right, bool)
    sure = np.linspace(0.99, 0.5, len(right)) if confidence is None else np.full(len(right), confidence)
    split = ScoredPredictions(sure, right, np.arange(len(right)))
    return control_risk(risk_curve(split, split), max_error)


def test_with_one_prediction_the_message_says_how_many_are_needed():
    risk = control([True], 0.02)
    assert (risk.threshold, risk.accepted, risk.errors) == (None, 1, 0)
    reason = no_threshold_reason(risk, "relations")
    assert reason.endswith(
        "at least 149 relations that can be tested, and the calibration posts have 1"
    )  # 0.98**149 <= 0.05
    assert "95.0%" not in reason


@pytest.mark.parametrize(("max_error", "needed"), [(0.02, 149), (0.05, 59), (0.1, 29), (0.5, 5)])
def test_the_needed_number_of_predictions_is_enough(max_error, needed):
    assert control([True] * needed, max_error).threshold is not None
    few = control([True] * (needed - 1), max_error)
    assert few.threshold is None
    assert f"at least {needed} entities" in no_threshold_reason(few, "entities")


def test_with_many_predictions_the_message_says_how_many_are_wrong():
    right = np.arange(400) % 10 != 0
    risk = control(right, 0.05, 0.9)
    reason = no_threshold_reason(risk, "entities")
    assert "at most 5.0% of the entities are wrong (95% confidence)" in reason
    assert "40 of the 400 most confident are wrong" in reason
    assert f"as high as {risk.upper_bound:.1%}" in reason
    assert achievable_error(risk, "entities") == "0.13 (100% of the entities are accepted)"


def test_nothing_to_test_on():
    risk = control([], 0.05)
    assert "the calibration posts have no relations" in no_threshold_reason(risk, "relations")
    assert achievable_error(risk, "relations") is None


@pytest.mark.parametrize(
    ("wrong", "max_error", "remedy"),
    [
        (40, 0.12, r"about \d\.\d times as many"),
        (40, 0.101, r"more than 100 times as many labelled posts would be needed"),
    ],
)
def test_the_number_of_posts_needed_is_given_up_to_a_factor_of_100(wrong, max_error, remedy):
    policy = control(np.arange(400) % (400 // wrong) != 0, max_error, 0.9)
    assert policy.data_factor is not None
    assert re.search(remedy, _remedy(policy))


# --- decisions -----------------------------------------------------------------------------------------

TABLE = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4], [0.05, 0.9, 0.05]])


def quantiles(limit, classes=("a", "b", "c")):
    """Prediction sets of all classes whose probability is at least 1 − limit."""
    fitted = fit_quantiles(np.full((1, len(classes)), 0.5), np.zeros(1, int), classes, "lac")
    return replace(fitted, marginal=np.full(50, limit))


def test_without_options_a_decision_holds_only_a_confidence():
    def probabilities():
        raise AssertionError("they are not needed")

    decided = ReviewPolicy(Calibration(1.0)).decisions(np.array([0.7, 0.4]), probabilities, [1, 2])
    assert decided == [Decision(0.7, None, None), Decision(0.4, None, None)]
    only_one = ReviewPolicy(Calibration(1.0), conformal=quantiles(0.5))  # no coverage requested
    assert only_one.decisions(np.array([0.7]), probabilities, [1]) == [Decision(0.7, None, None)]


def test_predictions_below_the_threshold_are_reviewed_and_all_of_them_without_one():
    risk = control(np.arange(100) < 90, 0.2)
    assert risk.threshold is not None
    values = np.array([risk.threshold - 1e-6, risk.threshold, 0.999])

    def reviews(risk):
        decided = ReviewPolicy(Calibration(1.0), risk).decisions(values, lambda: TABLE, [0, 0, 0])
        return [decision.review for decision in decided]

    assert reviews(risk) == [True, False, False]
    assert reviews(replace(risk, threshold=None)) == [True, True, True]


def test_candidates_are_the_set_and_the_predicted_class_most_probable_first():
    policy = ReviewPolicy(Calibration(1.0), None, quantiles(0.75), 0.9)
    decided = policy.decisions(np.array([0.2, 0.3, 0.9]), lambda: TABLE.copy(), [2, 0, 1])
    # Probability 0.25 or more; in the first row the predicted class has less; equal ones keep their order.
    assert [decision.candidates for decision in decided] == [("b", "c"), ("c", "a", "b"), ("b",)]
    assert [decision.confidence for decision in decided] == [0.2, 0.3, 0.9]


def test_entities_of_posts():
    random = np.random.default_rng(1)
    decoder = ChainDecoder(LABELS, np.zeros((5, 5)), np.zeros(5), np.zeros(5))
    emissions = [2 * random.standard_normal((n, 5)) for n in (5, 0, 3)]
    spans = decoder.decode(emissions)
    calibration, risk = Calibration(1.7, {"PER": 2.5}), control(np.arange(100) < 90, 0.2, 0.6)
    sets = quantiles(0.6, ("LOC", "PER", "none"))
    decider = CalibratedEntityDecider(ReviewPolicy(calibration, risk, sets, 0.9))
    assert decider.risk is risk
    decided = decider.decide(decoder, emissions, spans)
    confidences = span_confidences(calibration, decoder, emissions, spans)
    tables = class_probabilities(calibration, decoder, emissions, spans)
    assert [len(row) for row in decided] == [len(row) for row in spans]
    for row, found, values, table in zip(spans, decided, confidences, tables, strict=True):
        for span, decision, confidence, probabilities in zip(row, found, values, table, strict=True):
            assert decision.confidence == pytest.approx(confidence)
            assert decision.review == (confidence < risk.threshold)
            kept = {("LOC", "PER", "none")[i] for i in range(3) if probabilities[i] >= 0.4}
            kept |= {span.type, ("LOC", "PER", "none")[int(probabilities.argmax())]}
            assert set(decision.candidates) == kept


def test_relations_of_pairs():
    scores = 2 * np.random.default_rng(2).standard_normal((6, 4))
    predicted = scores.argmax(1).tolist()
    calibration, risk = Calibration(1.7, {"peer": 2.5}), control(np.arange(100) < 90, 0.2, 0.6)
    policy = ReviewPolicy(calibration, risk, quantiles(0.6, RELATIONS), 0.9)
    decider = CalibratedRelationDecider(policy, RELATIONS)
    assert decider.risk is risk
    table = relation_probabilities(calibration, RELATIONS, scores, predicted)
    decided = decider.decide(scores, predicted)
    assert [decision.confidence for decision in decided] == pytest.approx(table[range(6), predicted])
    for decision, probabilities, best in zip(decided, table, predicted, strict=True):
        assert decision.review == (probabilities[best] < risk.threshold)
        assert set(decision.candidates) == {
            RELATIONS[i] for i in range(4) if probabilities[i] >= 0.4 or i == best
        }
        assert decision.candidates[0] == RELATIONS[int(probabilities.argmax())]


# --- from a model folder -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """The parts of a model folder that a policy reads; ``write`` gives it a calibration."""

    def write(**parts):
        record = to_record(Calibration(1.5, **parts))
        (tmp_path / "calibration.json").write_text(json.dumps(record), encoding="utf-8")
        return SimpleNamespace(path=tmp_path, config=SimpleNamespace(labels=RELATIONS))

    return write


def curve(wrong, count=400):
    right = np.arange(count) % (count // wrong) != 0
    split = ScoredPredictions(np.full(count, 0.9), right, np.arange(count))
    return risk_curve(split, split)


@pytest.mark.parametrize("make", [entity_decider, relation_decider, following_relation_decider])
def test_a_decider_uses_the_calibration_of_its_folder(folder, make):
    plain = make(folder())
    assert plain.risk is None
    assert plain._policy == ReviewPolicy(Calibration(1.5))
    model = folder(risk_curve=curve(4), conformal=quantiles(0.6))
    decider = make(model, 0.05, 0.9)
    assert decider.risk == control_risk(curve(4), 0.05)
    assert decider.risk.threshold is not None
    assert (decider._policy.coverage, decider._policy.conformal.classes) == (0.9, ("a", "b", "c"))
    assert make(model, 0.05)._policy.conformal is None
    assert make(model, None, 0.8).risk is None
    assert make(model, None, 0.8)._policy.coverage == 0.8
    with pytest.raises(ConfigError, match=r"0\.3"):
        make(model, None, 0.3)
    if make is not entity_decider:
        assert decider._labels == RELATIONS


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (entity_decider, "entities"),
        (relation_decider, "relations"),
        (following_relation_decider, "relations"),
    ],
)
@pytest.mark.parametrize(
    ("options", "missing"), [((0.1, None), "thresholds"), ((None, 0.9), "prediction sets")]
)
def test_a_model_without_the_needed_calibration_is_refused(folder, make, what, options, missing):
    with pytest.raises(ModelError) as raised:
        make(folder(), *options)
    error = raised.value
    assert error.what == f"the model has no {missing} for {what}"
    assert error.where.endswith("calibration.json")
    own = "calibrate it on labelled posts like your own: twofold calibrate MODEL DATA -o OUT"
    assert error.do == own + ("; or extract entities only (--no-relations)" if what == "relations" else "")


def test_an_error_rate_without_guarantee_is_refused_unless_it_follows_that_of_entities(folder):
    model = folder(risk_curve=curve(40))
    for make, what in ((entity_decider, "entities"), (relation_decider, "relations")):
        with pytest.raises(ConfigError) as raised:
            make(model, 0.05)
        risk = control_risk(curve(40), 0.05)
        assert raised.value.what == no_threshold_reason(risk, what)
        assert raised.value.expected == f"an error rate of at least {achievable_error(risk, what)}"
        own = "; or set a separate rate for relations (--max-relation-error), or omit them (--no-relations)"
        assert raised.value.do == _remedy(risk) + (own if what == "relations" else "")
    following = following_relation_decider(model, 0.05)
    assert following.risk.threshold is None
    (decision,) = following.decide(np.array([[0.0, 9.0, 0.0, 0.0]]), [1])
    assert decision.review is True


def test_where_no_error_rate_is_achievable_a_better_model_is_expected(folder):
    nothing = ScoredPredictions(np.full(3, 0.9), np.zeros(3, bool), np.arange(3))
    with pytest.raises(ConfigError) as raised:
        entity_decider(folder(risk_curve=risk_curve(nothing, nothing)), 0.05)
    assert raised.value.expected == "a model that is right more often"


@pytest.mark.parametrize(
    ("accepted", "factor", "remedy"),
    [
        (400, None, "set a higher error rate, or calibrate on other posts"),
        (59, None, "set a higher error rate, or calibrate on other posts"),
        (0, None, "set a higher error rate, or calibrate on more labelled posts"),
        (2, None, "set a higher error rate, or calibrate on at least 30 times as many labelled posts"),
        (40, 3.0, "set a higher error rate, or calibrate on at least 1.5 times as many labelled posts"),
        (59, 3.0, "set a higher error rate, or calibrate on about 3.0 times as many labelled posts"),
        (400, 9.96, "set a higher error rate, or calibrate on about 10.0 times as many labelled posts"),
        (400, 10.0, "set a higher error rate, or calibrate on about 10 times as many labelled posts"),
        (400, 100.0, "set a higher error rate, or calibrate on about 100 times as many labelled posts"),
        (400, 100.1, "set a higher error rate; more than 100 times as many labelled posts would be needed"),
    ],
)
def test_the_remedy_in_words(accepted, factor, remedy):
    risk = replace(control(np.arange(400) % 10 != 0, 0.05, 0.9), accepted=accepted, data_factor=factor)
    assert _remedy(risk) == remedy


def test_reasons_in_full():
    risk = replace(control(np.arange(400) % 10 != 0, 0.05, 0.9), upper_bound=0.128)
    start = "no confidence threshold guarantees that at most 5.0% of the entities are wrong (95% confidence)"
    assert no_threshold_reason(risk, "entities") == (
        f"{start}: 40 of the 400 most confident are wrong, so that the error rate may be as high as 12.8%"
    )
    assert no_threshold_reason(replace(risk, accepted=2, errors=1), "entities") == (
        f"{start}: that takes at least 59 entities that can be tested, and the calibration posts have 2"
    )
    assert no_threshold_reason(replace(risk, accepted=0), "entities") == (
        f"{start}: the calibration posts have no entities that could be tested"
    )
