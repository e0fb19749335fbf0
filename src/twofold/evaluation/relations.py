"""Scores of relations between given pairs, as MNRE is scored, and the baseline that every table needs.

Precision, recall and F1 are micro averages without the class ``None``: a relation is right where it was
predicted and is gold; ``None`` counts neither as found nor as there. Accuracy counts all pairs. What is
counted streams: its size does not grow with the pairs. It does not know posts, files or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twofold.evaluation.spans import SpanScore

NONE = "None"
"""The class of pairs that stand in no relation."""
Types = tuple[str, str]
"""Of head and tail."""


@dataclass(frozen=True, slots=True)
class RelationScores:
    """Scores of some pairs.

    Attributes:
        overall: micro average over all relations but ``None``.
        relations: score by relation, of every one but ``None`` seen in gold or predictions, in
            alphabetical order.
        right: pairs whose class is right, ``None`` included.
        pairs: all pairs.
    """

    overall: SpanScore
    relations: Mapping[str, SpanScore]
    right: int
    pairs: int

    @property
    def accuracy(self) -> float:
        """Part of all pairs whose class is right, in [0, 1]; 0 where there are none."""
        return self.right / self.pairs if self.pairs else 0.0


class RelationCounter:
    """Counts pairs one by one."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()  # (gold, predicted); as many as classes squared

    def add(self, gold: str, predicted: str) -> None:
        """Count one pair."""
        self._counts[gold, predicted] += 1

    def scores(self) -> RelationScores:
        """Scores of what was counted so far."""
        correct, predicted, gold = Counter[str](), Counter[str](), Counter[str]()
        for (wanted, found), count in self._counts.items():
            gold[wanted] += count
            predicted[found] += count
            correct[wanted] += count * (wanted == found)
        names = sorted({*gold, *predicted} - {NONE})
        each = {name: SpanScore(correct[name], predicted[name], gold[name]) for name in names}
        totals = (sum(part[name] for name in names) for part in (correct, predicted, gold))
        return RelationScores(SpanScore(*totals), each, correct.total(), gold.total())


class TypedMajority:
    """The baseline that looks at nothing but the types of head and tail: their most frequent relation.

    Args:
        seen: types and relation of the pairs of training.
        related: leave ``None`` out, and so take every pair of types that any relation was seen between for
            the most frequent of these. With ``None`` the answer may be ``None`` throughout.
    """

    def __init__(self, seen: Iterable[tuple[Types, str]], *, related: bool = False) -> None:
        by_types: dict[Types, Counter[str]] = {}
        for types, relation in seen:
            if relation != NONE or not related:
                by_types.setdefault(types, Counter())[relation] += 1
        self._best = {types: min(counts, key=lambda r: (-counts[r], r)) for types, counts in by_types.items()}

    def predict(self, types: Types) -> str:
        """The relation of a pair of these types; ``None`` for types never seen."""
        return self._best.get(types, NONE)
