"""Figures by data set: of one data set they are those that calibration measures on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_encoded_posts import LABELS, drawn

from twofold.calibration.fit import fit_entities
from twofold.calibration.splits import first_half
from twofold.crf import ChainDecoder
from twofold.evaluation.trust_report import to_json
from twofold.posts import Entity


class Tagger:
    """Finds what the CRF finds, with confidences that nothing may rest on."""

    def __init__(self, decision_rule=None) -> None:
        self.decoder = ChainDecoder(LABELS, np.zeros((5, 5)), np.zeros(5), np.zeros(5), decision_rule)

    def with_decision_rule(self, decision_rule):
        return Tagger(decision_rule)

    def entities(self, readings):
        spans = self.decoder.decode([reading.emissions for reading in readings])
        return [tuple(Entity(s.start, s.end, "x", s.type, 0.123) for s in row) for row in spans]


@pytest.fixture(scope="module")
def tagger():
    return Tagger()


@pytest.mark.parametrize("method", ["temperature", "types", "isotonic"])
def test_of_one_data_set_they_are_those_of_the_whole(tagger, method):
    readings = drawn(tagger.decoder, 300, 1)
    fitted = fit_entities(tagger, {"a": readings}, method=method)
    one, whole = fitted.facts["data"]["a"], fitted.facts["measured"]
    for name in ("before", "after"):
        values = {key: figure["value"] for key, figure in one[name].items()}
        assert values == pytest.approx(whole[name], abs=1e-5)
    assert one["sets"] == whole["sets"]
    assert one["posts"] == whole["posts"]
    assert one["found"] == whole["predictions"][1]
    assert one["ece_if_calibrated"] == whole["ece_if_calibrated"]
    assert fitted.facts["measured"] == to_json(fitted.measured)


def test_figures_are_of_what_is_told_from_now_on(tagger):
    readings = drawn(tagger.decoder, 600, 5)
    plainly, fitted = (fit_entities(tagger, {"a": readings}, tell=tell) for tell in (None, "f1"))
    assert plainly.calibration.decision_rule is None
    assert fitted.calibration.decision_rule == fitted.chosen.decision_rule
    assert fitted.chosen.f1 > fitted.chosen.f1_viterbi
    assert fitted.facts["chosen"]["f1"] == pytest.approx(fitted.chosen.f1, abs=1e-6)
    told = Tagger(fitted.chosen.decision_rule)
    fit = first_half([reading.post.id for reading in readings])
    found = told.entities([reading for reading, first in zip(readings, fit, strict=True) if not first])
    assert fitted.facts["data"]["a"]["found"] == sum(map(len, found))
    again = fit_entities(told, {"a": readings})  # as it is, with thresholds for what it tells
    assert again.calibration.decision_rule == fitted.chosen.decision_rule
    assert again.facts["measured"] == fitted.facts["measured"]
    assert fit_entities(told, {"a": readings}, tell="sequence").facts == plainly.facts


def test_of_several_they_add_up(tagger):
    groups = {"a": drawn(tagger.decoder, 150, 2), "b": drawn(tagger.decoder, 150, 3, warm=(4.0, 4.0))}
    fitted = fit_entities(tagger, groups)
    parts, whole = fitted.facts["data"], fitted.facts["measured"]
    assert fitted.facts["fitted_on"] == ["a", "b"]
    assert sum(part["found"] for part in parts.values()) == whole["predictions"][1]
    assert sum(part["right"] for part in parts.values()) == pytest.approx(
        whole["after"]["accuracy"] * whole["predictions"][1], abs=0.01
    )
    halves = [part["posts"] for part in parts.values()]
    assert [sum(column) for column in zip(*halves, strict=True)] == whole["posts"]
    for name in ("brier", "nll"):  # means over predictions
        total = sum(part["found"] * part["after"][name]["value"] for part in parts.values())
        assert total / whole["predictions"][1] == pytest.approx(whole["after"][name], abs=1e-5)


def test_missed_gold_is_that_of_the_half_measured_on(tagger):
    readings = drawn(tagger.decoder, 200, 4)
    part = fit_entities(tagger, {"a": readings}).facts["data"]["a"]
    other = [
        r for r, first in zip(readings, first_half([r.post.id for r in readings]), strict=True) if not first
    ]
    gold = sum(len(reading.post.entities) for reading in other)
    assert part["right"] + part["missed"] == gold
