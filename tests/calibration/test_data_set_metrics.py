"""Metrics by data set: for a single data set they equal those of the whole calibration."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_encoded_posts import LABELS, drawn

from twofold.calibration.fit import fit_entities
from twofold.calibration.splits import in_tuning_split
from twofold.crf import ChainDecoder
from twofold.evaluation.trust_report import to_json
from twofold.posts import Entity

pytestmark = pytest.mark.usefixtures("few_resamples")


class Tagger:
    """Predicts what the CRF predicts, with confidences that nothing may depend on."""

    def __init__(self, decision_rule=None) -> None:
        self.decoder = ChainDecoder(LABELS, np.zeros((5, 5)), np.zeros(5), np.zeros(5), decision_rule)

    def with_decision_rule(self, decision_rule):
        return Tagger(decision_rule)

    def entities(self, encoded_posts):
        spans = self.decoder.decode([encoded.emissions for encoded in encoded_posts])
        return [tuple(Entity(s.start, s.end, "x", s.type, 0.123) for s in row) for row in spans]


@pytest.fixture(scope="module")
def tagger():
    return Tagger()


@pytest.mark.parametrize("method", ["temperature", "types", "isotonic"])
def test_metrics_of_a_single_data_set_equal_those_of_the_whole(tagger, method):
    encoded_posts = drawn(tagger.decoder, 300, 1)
    fitted = fit_entities(tagger, {"a": encoded_posts}, method=method)
    one, whole = fitted.description["by_data_set"]["a"], fitted.description["report"]
    for name in ("before", "after"):
        values = {key: interval["value"] for key, interval in one[name].items()}
        assert values == pytest.approx(whole[name], abs=1e-5)
    assert one["prediction_sets"] == whole["prediction_sets"]
    assert one["posts"] == whole["posts"]
    assert one["predictions"] == whole["predictions"]["calibration"]
    assert one["ece_if_calibrated"] == whole["ece_if_calibrated"]
    assert fitted.description["report"] == to_json(fitted.report)


def test_metrics_are_those_of_the_new_decision_rule(tagger):
    encoded_posts = drawn(tagger.decoder, 300, 5)
    plainly, fitted = (fit_entities(tagger, {"a": encoded_posts}, decode=decode) for decode in (None, "f1"))
    assert plainly.calibration.decision_rule is None
    assert fitted.calibration.decision_rule == fitted.decision_rule_fit.decision_rule
    assert fitted.decision_rule_fit.f1 > fitted.decision_rule_fit.f1_viterbi
    assert fitted.description["decision_rule_fit"]["f1"] == pytest.approx(
        fitted.decision_rule_fit.f1, abs=1e-6
    )
    with_rule = Tagger(fitted.decision_rule_fit.decision_rule)
    fit = in_tuning_split([encoded.post.id for encoded in encoded_posts])
    found = with_rule.entities(
        [encoded for encoded, first in zip(encoded_posts, fit, strict=True) if not first]
    )
    assert fitted.description["by_data_set"]["a"]["predictions"] == sum(map(len, found))
    again = fit_entities(with_rule, {"a": encoded_posts})  # keeps its rule
    assert again.calibration.decision_rule == fitted.decision_rule_fit.decision_rule
    assert again.description["report"] == fitted.description["report"]
    assert fit_entities(with_rule, {"a": encoded_posts}, decode="viterbi").description == plainly.description


def test_metrics_of_several_data_sets_add_up(tagger):
    groups = {"a": drawn(tagger.decoder, 150, 2), "b": drawn(tagger.decoder, 150, 3, warm=(4.0, 4.0))}
    fitted = fit_entities(tagger, groups)
    parts, whole = fitted.description["by_data_set"], fitted.description["report"]
    assert fitted.description["fitted_on"] == ["a", "b"]
    assert sum(part["predictions"] for part in parts.values()) == whole["predictions"]["calibration"]
    assert sum(part["right"] for part in parts.values()) == pytest.approx(
        whole["after"]["accuracy"] * whole["predictions"]["calibration"], abs=0.01
    )
    for split, posts in whole["posts"].items():
        assert sum(part["posts"][split] for part in parts.values()) == posts
    for name in ("brier", "nll"):  # means over predictions
        total = sum(part["predictions"] * part["after"][name]["value"] for part in parts.values())
        assert total / whole["predictions"]["calibration"] == pytest.approx(whole["after"][name], abs=1e-5)


def test_accepted_counts_of_data_sets_add_up_to_those_of_all(tagger):
    groups = {"a": drawn(tagger.decoder, 300, 2, (1.0, 1.0)), "b": drawn(tagger.decoder, 300, 3)}
    fitted = fit_entities(tagger, groups)
    parts = fitted.description["by_data_set"].values()
    risks = {f"{r['max_error']:.2f}": r for r in fitted.description["report"]["risk_control"]}
    wanted = {error: risk for error, risk in risks.items() if risk["threshold"] is not None}
    assert wanted
    for part in parts:
        assert part["accepted"].keys() == wanted.keys()
    for error, risk in wanted.items():
        assert sum(part["accepted"][error]["accepted"] for part in parts) == risk["accepted"]
        assert sum(part["accepted"][error]["wrong"] for part in parts) == risk["errors"]


def test_missed_gold_is_that_of_the_calibration_split(tagger):
    encoded_posts = drawn(tagger.decoder, 200, 4)
    part = fit_entities(tagger, {"a": encoded_posts}).description["by_data_set"]["a"]
    other = [
        r
        for r, first in zip(encoded_posts, in_tuning_split([r.post.id for r in encoded_posts]), strict=True)
        if not first
    ]
    gold = sum(len(encoded.post.entities) for encoded in other)
    assert part["right"] + part["missed"] == gold
