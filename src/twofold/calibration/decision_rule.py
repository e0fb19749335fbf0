"""F1-optimal decoding: which spans a tagger should predict for the largest F1, fitted on labelled posts.

Viterbi decoding maximises the probability that the whole tag sequence is right, which no metric measures: a
span of probability 0.45 is left out where "no entity" has 0.5, though predicting it would raise F1. The set
of spans with the largest expected F1 maximises Σ (probability − threshold) with half that F1 as the threshold
(Lipton, Elkan & Narayanaswamy 2014, theorem 1). This holds for calibrated probabilities, so a temperature is
fitted first. F1 is found by iteration: half the best F1 so far is the next threshold. Where one temperature
does not calibrate the probabilities, Viterbi decoding may reach a much larger F1, and is then kept.

This module does not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twofold.calibration.entities import LabelledSpans, label_spans
from twofold.calibration.methods import one_temperature
from twofold.crf import ChainDecoder, DecisionRule
from twofold.inference.encode import EncodedPost

DECODERS = ("viterbi", "f1")
"""Viterbi: the most probable tag sequence. F1-optimal decoding: the spans with the largest expected F1."""
MIN_THRESHOLD = 0.05
"""At a threshold of 0 every possible span would be predicted."""
F1_TOLERANCE = 0.01
"""Loss of F1 that is attributed to sampling noise on some hundred posts."""


@dataclass(frozen=True, slots=True)
class DecisionRuleFit:
    """A fitted decision rule and its F1 on posts it was not fitted on.

    Attributes:
        decision_rule: None where Viterbi decoding is better.
        f1: lenient F1 with the rule. f1_viterbi: with Viterbi decoding.
    """

    decision_rule: DecisionRule | None
    f1: float
    f1_viterbi: float


def decoder_f1(decoder: ChainDecoder, posts: Sequence[EncodedPost]) -> float:
    """Lenient F1 in [0, 1] of a decoder's predictions; 0 where nothing is predicted and nothing is gold."""
    return _f1(label_spans(decoder, posts), posts)


def _f1(predicted: LabelledSpans, posts: Sequence[EncodedPost]) -> float:
    gold = sum(len({(e.start, e.end, e.type) for e in post.post.entities or ()}) for post in posts)
    return 2 * int(predicted.right.sum()) / max(len(predicted.right) + gold, 1)


def fit_decision_rule(decoder: ChainDecoder, posts: Sequence[EncodedPost]) -> DecisionRule | None:
    """Threshold and temperature for the largest expected F1; None where Viterbi decoding is better.

    Args:
        decoder: the CRF; its own decision rule is ignored.
        posts: labelled posts.

    Raises:
        DataError: nothing is predicted in them.
    """
    viterbi = label_spans(decoder.with_decision_rule(None), posts)
    temperature = one_temperature(viterbi).temperature
    best, rule = _f1(viterbi, posts), None
    while True:  # terminates: F1 takes finitely many values, and the best never falls
        candidate = DecisionRule(max(best / 2, MIN_THRESHOLD), temperature)
        if candidate == rule:
            return rule
        f1 = decoder_f1(decoder.with_decision_rule(candidate), posts)
        if f1 < best - F1_TOLERANCE:
            return rule
        best, rule = max(best, f1), candidate


def fit_and_test_decision_rule(
    decoder: ChainDecoder, tuning: Sequence[EncodedPost], test: Sequence[EncodedPost]
) -> DecisionRuleFit:
    """Fit on the tuning posts, and measure on the test posts.

    Raises:
        DataError: nothing is predicted in the tuning posts.
    """
    rule = fit_decision_rule(decoder, tuning)
    f1, f1_viterbi = (decoder_f1(decoder.with_decision_rule(each), test) for each in (rule, None))
    return DecisionRuleFit(rule, f1, f1_viterbi)
