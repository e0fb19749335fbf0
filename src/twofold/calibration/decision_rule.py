"""Which spans a tagger should tell so that F1 is largest, from labelled posts.

The best tag sequence is most often right as a whole, which nobody is scored by: a span of probability 0.45 is
left out where "no entity" has 0.5, though telling it would raise F1. The set of spans with the largest
expected F1 is the one that is worth most where a span costs half of that F1 (Lipton, Elkan &
Narayanaswamy 2014, theorem 1). It holds for true probabilities, so a temperature is fitted first; the F1 is
found by trying: half the best F1 yet is the next threshold. Where one temperature does not make
probabilities true, the best sequence may have a much larger F1 after all, and stays.

It does not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twofold.calibration.entities import LabelledSpans, labelled
from twofold.calibration.methods import one_temperature
from twofold.crf import ChainDecoder, DecisionRule
from twofold.inference.encode import EncodedPost

LOWEST = 0.05
"""Of thresholds: at 0 all spans there are would be told."""
LUCK = 0.01
"""F1 that theory may seem to lose by chance on some hundred posts."""


@dataclass(frozen=True, slots=True)
class DecisionRuleFit:
    """A rule and what it brought on posts it was not fitted on.

    Attributes:
        decision_rule: None for the best sequence, where no rule was better.
        f1: lenient, of what is told so. f1_viterbi: of the spans of the best sequence.
    """

    decision_rule: DecisionRule | None
    f1: float
    f1_viterbi: float


def f1_of(decoder: ChainDecoder, readings: Sequence[EncodedPost]) -> float:
    """Lenient F1 in [0, 1] of what a decoder tells; 0 where nothing is told and nothing is there."""
    return _f1(labelled(decoder, readings), readings)


def _f1(found: LabelledSpans, readings: Sequence[EncodedPost]) -> float:
    gold = sum(len({(e.start, e.end, e.type) for e in reading.post.entities or ()}) for reading in readings)
    return 2 * int(found.right.sum()) / max(len(found.right) + gold, 1)


def fit_decision_rule(decoder: ChainDecoder, readings: Sequence[EncodedPost]) -> DecisionRule | None:
    """Threshold and temperature for the largest F1 to be expected; None where the best sequence has it.

    Args:
        decoder: the CRF; its own decision_rule is not looked at.
        readings: of labelled posts.

    Raises:
        DataError: nothing is found in them.
    """
    sequence = labelled(decoder.with_decision_rule(None), readings)
    temperature = one_temperature(sequence).temperature
    best, decision_rule = _f1(sequence, readings), None
    while True:  # ends: F1 takes finitely many values, and the best grows
        tried = DecisionRule(max(best / 2, LOWEST), temperature)
        if tried == decision_rule:
            return decision_rule
        f1 = f1_of(decoder.with_decision_rule(tried), readings)
        if f1 < best - LUCK:
            return decision_rule
        best, decision_rule = max(best, f1), tried


def select_decision_rule(
    decoder: ChainDecoder, fit: Sequence[EncodedPost], test: Sequence[EncodedPost]
) -> DecisionRuleFit:
    """Fit on some posts, measure on others.

    Raises:
        DataError: nothing is found in the first.
    """
    decision_rule = fit_decision_rule(decoder, fit)
    after, before = (f1_of(decoder.with_decision_rule(each), test) for each in (decision_rule, None))
    return DecisionRuleFit(decision_rule, after, before)
