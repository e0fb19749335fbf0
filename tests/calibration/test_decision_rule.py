"""F1-optimal decoding against a grid of thresholds, on posts with labels drawn at a known temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_encoded_posts import LABELS, drawn

from twofold.calibration.decision_rule import decoder_f1, fit_and_test_decision_rule, fit_decision_rule
from twofold.crf import ChainDecoder, DecisionRule
from twofold.errors import DataError
from twofold.posts import Entity


@pytest.fixture(scope="module")
def decoder():
    return ChainDecoder(LABELS, np.zeros((5, 5)), np.zeros(5), np.zeros(5))


def test_f1_by_hand(decoder):
    (encoded,) = drawn(decoder, 1, 0)
    words = len(encoded.words)
    sure = np.full((words, 5), -30.0)
    sure[:, 0] = 0
    gold = encoded.post.entities
    for entity in gold:
        sure[entity.start] = np.where(np.array(LABELS) == f"B-{entity.type}", 30.0, -30.0)
    assert gold
    assert decoder_f1(decoder, [replace(encoded, emissions=sure)]) == 1.0
    sure[gold[0].start] = [30, -30, -30, -30, -30]  # one is missed
    found = len(gold) - 1
    assert decoder_f1(decoder, [replace(encoded, emissions=sure)]) == pytest.approx(
        2 * found / (found + len(gold))
    )


def test_the_threshold_is_half_an_f1_that_no_threshold_beats_by_much(decoder):
    encoded_posts = drawn(decoder, 800, 1)
    decision_rule = fit_decision_rule(decoder, encoded_posts)
    assert decision_rule.temperature == pytest.approx(2.0, rel=0.1)  # the temperature of the labels
    f1 = decoder_f1(decoder.with_decision_rule(decision_rule), encoded_posts)
    assert decision_rule.threshold == pytest.approx(f1 / 2, abs=0.01)
    others = [
        decoder_f1(decoder.with_decision_rule(DecisionRule(t, decision_rule.temperature)), encoded_posts)
        for t in np.arange(0.1, 0.6, 0.05)
    ]
    assert f1 > max(others) - 0.005


def test_f1_is_larger_on_other_posts_too(decoder):
    """Viterbi decoding needs a probability of a half here, where a third is enough."""
    chosen = fit_and_test_decision_rule(decoder, drawn(decoder, 800, 2), drawn(decoder, 800, 3))
    assert chosen.f1 > chosen.f1_viterbi + 0.005


def test_viterbi_decoding_is_kept_where_probabilities_cannot_be_calibrated(decoder):
    """The most confident predictions are wrong, the uncertain ones are right: no threshold helps."""
    encoded_posts = []
    for number, encoded in enumerate(drawn(decoder, 200, 4)):
        sure = number % 2 == 0
        emissions = np.tile([0.0, -30, -30, -30, -30], (len(encoded.words), 1))
        emissions[0, [1, 3]] = (9.0, -30) if sure else (0.1, 0.0)  # LOC, PER
        gold = () if number % 4 == 0 else (Entity(0, 1, "x", "LOC"),)
        post = replace(encoded.post, entities=gold)
        encoded_posts.append(replace(encoded, emissions=emissions, post=post))
    assert fit_decision_rule(decoder, encoded_posts) is None
    chosen = fit_and_test_decision_rule(decoder, encoded_posts, encoded_posts)
    assert (chosen.decision_rule, chosen.f1) == (None, chosen.f1_viterbi)


def test_nothing_predicted(decoder):
    encoded = drawn(decoder, 1, 0)[0]
    silent = np.tile([30.0, -30, -30, -30, -30], (len(encoded.words), 1))
    with pytest.raises(DataError, match="predicted nothing"):
        fit_decision_rule(decoder, [replace(encoded, emissions=silent)])
