"""Relation classification scores on gold pairs, as MNRE is scored, and the majority baseline by types.

Precision, recall and F1 are micro averages without the class ``None``, which is neither a prediction nor
gold. Accuracy counts all pairs. Memory does not grow with the number of pairs. This module does not know
posts, files or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twofold.evaluation.spans import SpanScore

NONE = "None"
"""The class of unrelated pairs."""
Types = tuple[str, str]
"""Entity types of head and tail."""


@dataclass(frozen=True, slots=True)
class RelationScores:
    """Scores of gold pairs.

    Attributes:
        overall: micro average over all relations but ``None``.
        relations: score by relation, of every one but ``None`` seen in gold or predictions, in
            alphabetical order.
        right: number of pairs whose class is right, including ``None``.
        pairs: number of all pairs.
    """

    overall: SpanScore
    relations: Mapping[str, SpanScore]
    right: int
    pairs: int

    @property
    def accuracy(self) -> float:
        """Fraction of all pairs whose class is right, in [0, 1]; 0 where there are none."""
        return self.right / self.pairs if self.pairs else 0.0


class RelationCounter:
    """Counts pairs one by one."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()  # (gold, predicted); at most classes squared

    def add(self, gold: str, predicted: str) -> None:
        """Count one pair."""
        self._counts[gold, predicted] += 1

    def scores(self) -> RelationScores:
        """Scores of the pairs counted so far."""
        correct, predicted, gold = Counter[str](), Counter[str](), Counter[str]()
        for (wanted, found), count in self._counts.items():
            gold[wanted] += count
            predicted[found] += count
            correct[wanted] += count * (wanted == found)
        names = sorted({*gold, *predicted} - {NONE})
        each = {name: SpanScore(correct[name], predicted[name], gold[name]) for name in names}
        totals = (sum(part[name] for name in names) for part in (correct, predicted, gold))
        return RelationScores(SpanScore(*totals), each, correct.total(), gold.total())


class TypeMajorityBaseline:
    """Baseline: the most frequent relation between the types of head and tail in training.

    Args:
        pairs: types and relation of each training pair.
        ignore_none: count related pairs only, so that ``None`` is predicted only for types never seen
            related. Otherwise the baseline may predict ``None`` throughout.
    """

    def __init__(self, pairs: Iterable[tuple[Types, str]], *, ignore_none: bool = False) -> None:
        by_types: dict[Types, Counter[str]] = {}
        for types, relation in pairs:
            if relation != NONE or not ignore_none:
                by_types.setdefault(types, Counter())[relation] += 1
        self._best = {types: min(counts, key=lambda r: (-counts[r], r)) for types, counts in by_types.items()}

    def predict(self, types: Types) -> str:
        """The relation of a pair of these types; ``None`` for types never seen."""
        return self._best.get(types, NONE)
