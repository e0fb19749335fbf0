"""Which entities of a post may stand in which relation: by the types that relations were seen between.

A type that is not known ("") fits wherever any type does. It does not know networks.

Shape letters: K relations.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.model_folder.config import NO_RELATION
from twofold.posts import Entity

PAIR_LIMIT = 64
"""Pairs of a post that are read, at most: each is a text of its own for the encoder, and a post of many
thousand entities would never end."""

Types = tuple[str, str]
"""Of head and tail."""


class Candidates(NamedTuple):
    """Pairs of entities that may stand in a relation.

    Attributes:
        pairs: numbers of two entities, the one that begins first first; in order.
        possible: how many there are, those beyond the limit included.
    """

    pairs: list[tuple[int, int]]
    possible: int


class Grammar:
    """What may stand in which relation.

    Args:
        labels: the K relations, "None" among them.
        arguments: types (head, tail) that each relation was seen between.
    """

    def __init__(self, labels: Sequence[str], arguments: Mapping[str, frozenset[Types]]) -> None:
        self._seen = [arguments.get(label, frozenset()) for label in labels]
        self._none = np.array([label == NO_RELATION for label in labels])
        self._fits: dict[Types, NDArray[np.bool_]] = {}
        for types in frozenset[Types]().union(*self._seen):
            self._fits[types] = self._none | [types in seen for seen in self._seen]

    def fits(self, head: str, tail: str) -> NDArray[np.bool_]:
        """(K,) True for the relations that types of head and tail allow; for "None" always.

        Where neither type is known all are allowed.
        """
        if head and tail:
            return self._fits.get((head, tail), self._none)
        if not head and not tail:
            return np.ones_like(self._none)
        return self._none | [any(head in ("", h) and tail in ("", t) for h, t in seen) for seen in self._seen]

    def rivals(self, number: int) -> NDArray[np.bool_]:
        """(K,) True for the relations that types of this one's head and tail allow; all of "None"'s."""
        seen = self._seen[number]
        return self._none | [bool(seen & other) for other in self._seen] if seen else np.ones_like(self._none)

    def related(self, head: str, tail: str) -> bool:
        """Whether types of head and tail allow any relation."""
        return bool((self.fits(head, tail) & ~self._none).any())

    def candidates(self, entities: Sequence[Entity], limit: int = PAIR_LIMIT) -> Candidates:
        """Pairs whose types, in one order or the other, allow a relation.

        Args:
            entities: of one post, in order of their start.
            limit: pairs, at most; those whose starts lie nearest to each other come first.
        """
        partners = self._partners({entity.type for entity in entities})
        counts = Counter(entity.type for entity in entities)
        both_ways = sum(counts[a] * (counts[b] - (a == b)) for a, row in partners.items() for b in row)
        found = _nearest(entities, partners)
        chosen = [pair for pair, _ in zip(found, range(limit), strict=False)]
        return Candidates(sorted(chosen), both_ways // 2)

    def _partners(self, types: set[str]) -> dict[str, list[str]]:
        return {a: [b for b in types if self.related(a, b) or self.related(b, a)] for a in types}


def _nearest(entities: Sequence[Entity], partners: Mapping[str, Sequence[str]]) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i before j, in order of the distance of their starts; only pairs of partners."""
    places: dict[str, list[int]] = {}
    for i, entity in enumerate(entities):
        places.setdefault(entity.type, []).append(i)
    starts = [entity.start for entity in entities]
    heap: list[tuple[int, int, int, str, int]] = []

    def push(i: int, type_: str, at: int) -> None:
        if at < len(places[type_]):
            j = places[type_][at]
            heapq.heappush(heap, (starts[j] - starts[i], i, j, type_, at))

    for i, entity in enumerate(entities):
        for type_ in partners[entity.type]:
            push(i, type_, bisect_right(places[type_], i))
    while heap:
        _, i, j, type_, at = heapq.heappop(heap)
        yield i, j
        push(i, type_, at + 1)
