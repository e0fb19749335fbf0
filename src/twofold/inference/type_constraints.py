"""Type constraints: which relations are possible between which types of entities, as seen in training.

An unknown type ("") is compatible with everything that any type is compatible with. It does not know
networks.

Shape letters: K relations.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.model_folder.config import NO_RELATION
from twofold.posts import Entity

PAIR_LIMIT = 64
"""Maximum number of pairs of a post that are classified: thousands of entities would take forever."""

Types = tuple[str, str]
"""Types of head and tail."""
Name = tuple[str, str]
"""Case-folded words of a mention, and its type: equal for mentions of the same name."""


class CandidatePairs(NamedTuple):
    """Pairs of entities between which a relation is possible.

    Attributes:
        pairs: indices (i, j) of two entities, i before j in the text; sorted.
        total: number of such pairs, those beyond the limit included.
    """

    pairs: list[tuple[int, int]]
    total: int


class TypeConstraints:
    """The types that each relation allows as arguments.

    Args:
        labels: the K relations, "None" among them.
        arguments: types (head, tail) that each relation was seen with.
    """

    def __init__(self, labels: Sequence[str], arguments: Mapping[str, frozenset[Types]]) -> None:
        self._seen = [arguments.get(label, frozenset()) for label in labels]
        self._none = np.array([label == NO_RELATION for label in labels])
        self._allowed: dict[Types, NDArray[np.bool_]] = {}
        for types in frozenset[Types]().union(*self._seen):
            self._allowed[types] = self._none | [types in seen for seen in self._seen]
        for mask in (self._none, *self._allowed.values()):
            mask.setflags(write=False)  # callers get these arrays themselves
        self._related = {types for types, allowed in self._allowed.items() if (allowed & ~self._none).any()}

    def allowed(self, head: str, tail: str) -> NDArray[np.bool_]:
        """(K,) True for the relations possible between these types; "None" always is.

        Where neither type is known, all relations are possible.
        """
        if head and tail:
            return self._allowed.get((head, tail), self._none)
        if not head and not tail:
            return np.ones_like(self._none)
        return self._none | [any(head in ("", h) and tail in ("", t) for h, t in seen) for seen in self._seen]

    def alternatives(self, index: int) -> NDArray[np.bool_]:
        """(K,) True for the relations that share argument types with this one, itself and "None" included.

        All are alternatives to "None".
        """
        seen = self._seen[index]
        return self._none | [bool(seen & other) for other in self._seen] if seen else np.ones_like(self._none)

    def compatible(self, head: str, tail: str) -> bool:
        """Whether any relation but "None" is possible between these types."""
        if head and tail:
            return (head, tail) in self._related
        return bool((self.allowed(head, tail) & ~self._none).any())

    def candidate_pairs(self, entities: Sequence[Entity], limit: int = PAIR_LIMIT) -> CandidatePairs:
        """Pairs between whose types a relation is possible, in either direction.

        Two mentions of the same name are not a pair: nothing is related to itself.

        Args:
            entities: of one post, in order of their start.
            limit: maximum number of pairs; those whose starts are nearest to each other are taken.
        """
        compatible = self._compatible_types({entity.type for entity in entities})
        counts = Counter(entity.type for entity in entities)
        ordered = sum(counts[a] * (counts[b] - (a == b)) for a, row in compatible.items() for b in row)
        names = [_name(entity) for entity in entities]
        same = sum(n * (n - 1) for name, n in Counter(names).items() if name[1] in compatible[name[1]])
        nearest = _nearest_first(entities, names, compatible)
        return CandidatePairs(sorted(islice(nearest, limit)), (ordered - same) // 2)

    def _compatible_types(self, types: set[str]) -> dict[str, list[str]]:
        return {a: [b for b in types if self.compatible(a, b) or self.compatible(b, a)] for a in types}


def _name(entity: Entity) -> Name:
    return " ".join(entity.text.casefold().split()), entity.type


def _nearest_first(
    entities: Sequence[Entity], names: Sequence[Name], compatible: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, int]]:
    """Pairs (i, j) of compatible types and different names, i before j, in order of the distance of their
    starts."""
    indices_of: dict[str, list[int]] = {}
    for i, entity in enumerate(entities):
        indices_of.setdefault(entity.type, []).append(i)
    next_different = {type_: _next_different([names[i] for i in row]) for type_, row in indices_of.items()}
    starts = [entity.start for entity in entities]
    heap: list[tuple[int, int, int, str, int]] = []

    def push(i: int, type_: str, at: int) -> None:
        row = indices_of[type_]
        if at < len(row) and names[row[at]] == names[i]:
            at = next_different[type_][at]
        if at < len(row):
            j = row[at]
            heapq.heappush(heap, (starts[j] - starts[i], i, j, type_, at))

    for i, entity in enumerate(entities):
        for type_ in compatible[entity.type]:
            push(i, type_, bisect_right(indices_of[type_], i))
    while heap:
        _, i, j, type_, at = heapq.heappop(heap)
        yield i, j
        push(i, type_, at + 1)


def _next_different(names: Sequence[Name]) -> list[int]:
    """For each name, the index of the next different name; the number of names where there is none."""
    following = [len(names)] * len(names)
    for i in range(len(names) - 2, -1, -1):
        following[i] = following[i + 1] if names[i] == names[i + 1] else i + 1
    return following
