"""Calibration of a tagger on labels drawn at a known temperature."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_encoded_posts import LABELS, drawn

from twofold.calibration.calibration import FILE, Calibration, from_record, read_calibration, to_record
from twofold.calibration.conformal import set_metrics, with_predicted
from twofold.calibration.entities import (
    NONE,
    calibrate_entities,
    class_probabilities,
    label_spans,
    span_confidences,
)
from twofold.calibration.isotonic import Isotonic
from twofold.calibration.methods import METHODS
from twofold.calibration.risk_control import control_risk
from twofold.crf import ChainDecoder, TagSpan
from twofold.errors import DataError, ModelError
from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.trust_report import to_json
from twofold.inference.encode import EncodedPost
from twofold.posts import Entity, PictureReport, Post


@pytest.fixture(scope="module")
def decoder():
    return ChainDecoder(LABELS, np.zeros((5, 5)), np.zeros(5), np.zeros(5))


def test_labels_of_predicted_spans(decoder):
    emissions = np.full((4, 5), -9.0)
    emissions[[0, 1, 2, 3], [1, 3, 3, 0]] = 9  # LOC, PER, PER
    gold = (Entity(0, 1, "x", "LOC"), Entity(1, 2, "x", "LOC"), Entity(3, 4, "x", "PER"))
    places = [(i, i + 1) for i in range(4)]
    encoded = EncodedPost(Post(1, "xxxx", entities=gold), places, PictureReport("none"), (True,), emissions)
    data = label_spans(decoder, [encoded])
    assert data.spans == [[TagSpan(0, 1, "LOC"), TagSpan(1, 2, "PER"), TagSpan(2, 3, "PER")]]
    assert data.labels.tolist() == [0, 0, 2]  # LOC; LOC although PER was predicted; no entity
    assert data.right.tolist() == [True, False, False]


HALVED = Isotonic(np.array([0.0, 1.0]), np.array([0.0, 0.5]))


@pytest.mark.parametrize(
    "calibration", [Calibration(1.7), Calibration(1.7, {"PER": 3.0}), Calibration(1.7, {"PER": 3.0}, HALVED)]
)
def test_classes_are_the_types_and_none(decoder, calibration):
    random = np.random.default_rng(0)
    emissions = [2 * random.standard_normal((n, 5)) for n in (3, 1, 0, 6)]
    spans = decoder.decode(emissions)
    tables = class_probabilities(calibration, decoder, emissions, spans)
    confidences = span_confidences(calibration, decoder, emissions, spans)
    plainly = decoder.type_probabilities(emissions, [[s[:2] for s in row] for row in spans], 1.7)
    for row, table, own, known in zip(spans, tables, confidences, plainly, strict=True):
        assert table.shape == (len(row), 3)
        assert table.sum(1) == pytest.approx(np.ones(len(row)))
        found = [decoder.types.index(span.type) for span in row]
        assert table[np.arange(len(row)), found] == pytest.approx(own)
        for span, probabilities, unmapped in zip(row, table, known, strict=True):
            if span.type == "LOC":  # at the shared temperature: PER and none in their ratio before the map
                none = 1 - unmapped.sum()
                assert probabilities[1] * none == pytest.approx(probabilities[2] * unmapped[1])


@pytest.mark.parametrize("method", list(METHODS))
def test_each_method_lowers_the_calibration_error(decoder, method):
    encoded_posts = drawn(decoder, 1000, 1)
    calibration, measured = calibrate_entities(decoder, encoded_posts, method=METHODS[method])
    assert measured.after["ece"] < 0.04 < measured.before["ece"]
    fresh = label_spans(decoder, drawn(decoder, 1500, 2))
    assert calibration_error(fresh.confidences(calibration), fresh.right) < 0.045


def test_types_get_their_own_temperatures_with_enough_predictions(decoder):
    encoded_posts = drawn(decoder, 1200, 3, warm=(3.0, 1.2))
    calibration, _ = calibrate_entities(decoder, encoded_posts, method=METHODS["types"])
    assert calibration.temperature_by_type["LOC"] > 1.5 * calibration.temperature_by_type["PER"]
    assert (
        calibration.temperature_by_type["PER"]
        < calibration.temperature
        < calibration.temperature_by_type["LOC"]
    )
    few, _ = calibrate_entities(decoder, drawn(decoder, 60, 3), method=METHODS["types"])
    assert few.temperature_by_type == {}


def test_sets_and_thresholds_hold_on_fresh_posts(decoder):
    calibration, measured = calibrate_entities(decoder, drawn(decoder, 1500, 4))
    fresh = label_spans(decoder, drawn(decoder, 1500, 5))
    found = [decoder.types.index(span.type) for row in fresh.spans for span in row]
    probabilities = fresh.probabilities(calibration)
    for level in (0.8, 0.9, 0.95):
        sets = with_predicted(calibration.conformal.prediction_sets(probabilities, level), found)
        assert set_metrics(sets, fresh.labels).coverage >= level - 0.02
        assert sets[np.arange(len(sets)), found].all()
    assert measured.prediction_sets["0.90"].coverage >= 0.88
    assert calibration.conformal.classes == ("LOC", "PER", NONE)
    allowed = control_risk(calibration.risk_curve, 0.2)
    kept = fresh.confidences(calibration) >= allowed.threshold
    assert (~fresh.right[kept]).mean() <= 0.21
    assert kept.mean() == pytest.approx(allowed.coverage, abs=0.05)


def test_confidences_follow_the_temperature_of_the_type_and_the_map(decoder):
    random = np.random.default_rng(6)
    emissions = [2 * random.standard_normal((n, 5)) for n in (4, 9, 0, 1)]
    spans = decoder.decode(emissions)
    calibration = Calibration(1.5, {"PER": 3.0}, HALVED)
    by_temperature = {t: decoder.confidences(emissions, spans, t) for t in (1.5, 3.0)}
    for i, found in enumerate(span_confidences(calibration, decoder, emissions, spans)):
        expected = [by_temperature[3.0 if s.type == "PER" else 1.5][i][j] / 2 for j, s in enumerate(spans[i])]
        assert found == pytest.approx(expected)


def test_json_round_trip(decoder, tmp_path):
    for method in METHODS.values():
        calibration, measured = calibrate_entities(decoder, drawn(decoder, 100, 7), method=method)
        record = json.loads(json.dumps(to_record(calibration), allow_nan=False))
        again = from_record(record)
        assert to_record(again) == record
        assert to_json(control_risk(again.risk_curve, 0.3)) == to_json(
            control_risk(calibration.risk_curve, 0.3)
        )
        assert np.isinf(again.conformal.per_class).any()  # too few for 0.99
        json.dumps(to_json(measured), allow_nan=False)
    (tmp_path / FILE).write_text('{"temperature": 1.3, "nll_before": 0.4}', encoding="utf-8")
    assert read_calibration(tmp_path / FILE) == Calibration(1.3)


@pytest.mark.parametrize(
    "content",
    [
        '{"temperature": -1}', '{"temperature": 1, "temperature_by_type": {"PER": 0}}',
        "no", "[]", "{}", '{"temperature": "hot"}', '{"temperature": 1, "isotonic": {"confidence": [1]}}',
        '{"temperature": 1, "risk_curve": {"threshold": [1, 0]}}',
        '{"temperature": 1, "conformal": {"score": "lac", "classes": ["a"], "class_counts": [1], '
        '"marginal": [0.5], "per_class": [[0.5]]}}',
        '{"temperature": 1, "isotonic": {"confidence": [0, 1], "calibrated": [0.5]}}',
    ],
)  # fmt: skip
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"JSON|twofold calibrate"):
        read_calibration(tmp_path / FILE)


def test_too_few_posts(decoder):
    with pytest.raises(DataError, match="more labelled posts"):
        calibrate_entities(decoder, drawn(decoder, 8, 8))
    with pytest.raises(DataError, match="predicts 0 entities"):
        calibrate_entities(decoder, [])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "it has no temperature"),
        ({"temperature": "warm"}, "temperature holds a value of the wrong type"),
        ({"temperature": -1}, "temperature: -1 is not a finite number above 0"),
        (
            {"temperature": 1, "temperature_by_type": [1]},
            "temperature_by_type holds a value of the wrong type",
        ),
        (
            {"temperature": 1, "isotonic": {"confidence": [1], "calibrated": [1, 2]}},
            "isotonic: its lists have",
        ),
        ({"temperature": 1, "conformal": {"score": "lac"}}, "conformal has no classes"),
        ({"temperature": 1, "decision_rule": {"limit": 3}}, "decision_rule holds a value of the wrong type"),
        ({"temperature": 1, "risk_curve": None}, "risk_curve holds a value of the wrong type"),
    ],
)
def test_the_message_names_the_invalid_part_of_a_calibration(record, message, tmp_path) -> None:
    path = tmp_path / FILE
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ModelError, match=message) as raised:
        read_calibration(path)
    assert "calibrate the model again" in str(raised.value)


def test_the_label_of_a_span_is_that_of_a_type_the_decoder_knows(decoder):
    emissions = np.full((3, 5), -9.0)
    emissions[[0, 1, 2], [3, 4, 1]] = 9  # PER over two words, LOC
    words = [(0, 3), (4, 7), (8, 9)]

    def labels(*gold):
        post = Post(1, "x" * 9, entities=tuple(Entity(*place, "x", kind) for *place, kind in gold))
        return label_spans(decoder, [EncodedPost(post, words, PictureReport("none"), (True,), emissions)])

    assert labels((0, 7, "PER"), (8, 9, "LOC")).labels.tolist() == [1, 0]
    assert labels((0, 3, "PER"), (8, 9, "PER")).labels.tolist() == [2, 1]
    assert labels((0, 7, "MISC"), (0, 7, "LOC")).labels.tolist() == [0, 2]  # MISC is not known
    assert labels((0, 7, "LOC"), (0, 7, "PER")).right.tolist() == [True, False]  # either is right
    data = labels()
    assert (data.labels.tolist(), data.post.tolist(), data.posts) == ([2, 2], [0, 0], 1)
    assert data.classes == ("LOC", "PER", NONE)
    assert data.predicted.tolist() == [1, 0]


def test_selections_keep_labels_and_posts_aligned(decoder):
    encoded_posts = drawn(decoder, 30, 3)
    data = label_spans(decoder, encoded_posts)
    chosen = np.arange(30) % 3 == 1
    part, fresh = data.select_posts(chosen), label_spans(decoder, encoded_posts[1::3])
    assert part.posts == 10
    assert part.spans == fresh.spans
    for name in ("labels", "right", "predicted"):
        assert getattr(part, name).tolist() == getattr(fresh, name).tolist()
    assert part.post.tolist() == [1 + 3 * i for i in fresh.post.tolist()]
    assert part.confidences(Calibration(1.3)) == pytest.approx(fresh.confidences(Calibration(1.3)))
    persons = data.of_class(1)
    assert persons.spans == [[span for span in row if span.type == "PER"] for row in data.spans]
    assert persons.right.tolist() == data.right[data.predicted == 1].tolist()
    assert persons.labels.tolist() == data.labels[data.predicted == 1].tolist()
    assert persons.posts == 30
    expected = data.confidences(Calibration(1.3))[data.predicted == 1]
    assert persons.confidences(Calibration(1.3)) == pytest.approx(expected)


def test_arrays_without_predictions_are_empty(decoder):
    data = label_spans(decoder, [])
    assert data.confidences(Calibration(1.0)).shape == (0,)
    assert [x.dtype.kind for x in (data.labels, data.right, data.predicted)] == ["i", "b", "i"]
