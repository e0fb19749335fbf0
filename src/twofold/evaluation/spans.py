"""Exact-span precision, recall and F1, overall and by type, lenient and strict.

Lenient, as conlleval and seqeval's default: every run of tags of one type is an entity, even if it begins
with ``I-``. Strict, as seqeval's strict IOB2: only runs that begin with ``B-`` are, in the gold and in the
predictions. Twitter-2015 holds 374 runs on which the two differ, more than most published gains; report both.

A predicted entity is correct if start, end and type are. This module does not know posts, files or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Span = tuple[int, int, str]
"""(start, end, type)."""


@dataclass(frozen=True, slots=True)
class SpanScore:
    """Counts of one type, or of all.

    Attributes:
        correct: spans both gold and predicted.
        predicted: spans predicted.
        gold: spans in the gold.
    """

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """Fraction of the predicted spans that are right, in [0, 1]; 0 where none was predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Fraction of the gold spans that were found, in [0, 1]; 0 where there are none."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]."""
        total = self.predicted + self.gold
        return 2 * self.correct / total if total else 0.0


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Scores of a data set under one matching rule.

    Attributes:
        overall: micro average, all types together.
        types: score by type, of every type seen in gold or predictions, in alphabetical order.
    """

    overall: SpanScore
    types: Mapping[str, SpanScore]


class SpanCounter:
    """Counts posts one by one; memory does not grow with their number."""

    def __init__(self) -> None:
        self._correct: Counter[str] = Counter()
        self._predicted: Counter[str] = Counter()
        self._gold: Counter[str] = Counter()

    def add(self, gold: Iterable[Span], predicted: Iterable[Span]) -> None:
        """Count one post; duplicate spans count once."""
        wanted, found = set(gold), set(predicted)
        self._gold.update(kind for _, _, kind in wanted)
        self._predicted.update(kind for _, _, kind in found)
        self._correct.update(kind for _, _, kind in wanted & found)

    def scores(self) -> SpanScores:
        """Scores of the posts counted so far."""
        types = sorted({*self._gold, *self._predicted})
        by_type = {
            kind: SpanScore(self._correct[kind], self._predicted[kind], self._gold[kind]) for kind in types
        }
        overall = SpanScore(self._correct.total(), self._predicted.total(), self._gold.total())
        return SpanScores(overall, by_type)


class LenientAndStrictCounter:
    """Counts lenient and strict scores at once."""

    def __init__(self) -> None:
        self.lenient, self.strict = SpanCounter(), SpanCounter()

    def add(self, gold: Iterable[tuple[Span, bool]], predicted: Iterable[tuple[Span, bool]]) -> None:
        """Count one post.

        Args:
            gold: each span, and whether it is well formed (begins with ``B-``).
            predicted: likewise.
        """
        both = list(gold), list(predicted)
        self.lenient.add(*([span for span, _ in spans] for spans in both))
        self.strict.add(*([span for span, well_formed in spans if well_formed] for spans in both))
