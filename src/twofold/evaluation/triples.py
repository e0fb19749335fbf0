"""Triple scores of end-to-end relation extraction: (head, relation, tail) from the text alone, in four ways.

A triple is right if its relation and both arguments are, in the gold direction unless the relation is
symmetric. *Strict* compares boundaries and types of the arguments; *boundaries* compares boundaries only
(Taillé et al. 2020), since MNRE gives no types for unrelated pairs and a tagger may use other types.

MNRE annotates some pairs of a post and leaves the others open: a triple of a pair that is not annotated
may be right or wrong. Counted over all pairs it is wrong, which is too strict. Counted over *annotated* pairs
only it is left out, which is too lenient: pairs with a wrong boundary are left out, too. Recall is the same
in both cases. Pairs annotated as ``None`` count as annotated, but are not triples.

This module does not know files or models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from twofold.evaluation.relations import NONE
from twofold.evaluation.spans import Span, SpanScore
from twofold.posts import Entity, Relation


class Triple(NamedTuple):
    """A relation with its arguments, each (start, end, type)."""

    head: Span
    relation: str
    tail: Span


def to_triple(relation: Relation) -> Triple:
    """A relation as a triple of spans."""
    return Triple(entity_span(relation.head), relation.type, entity_span(relation.tail))


def with_reversed(gold: Iterable[Triple], symmetric: Collection[str]) -> list[Triple]:
    """The triples, and those of symmetric relations with head and tail swapped, too."""
    gold = list(gold)
    return gold + [t._replace(head=t.tail, tail=t.head) for t in gold if t.relation in symmetric]


def entity_span(entity: Entity) -> Span:
    """An entity as a span."""
    return entity.start, entity.end, entity.type


class TripleScores(NamedTuple):
    """Scores in the four ways of counting, see the docstring of the module."""

    strict: SpanScore
    boundaries: SpanScore
    strict_annotated: SpanScore
    boundaries_annotated: SpanScore


class TripleCounter:
    """Counts posts one by one; memory does not grow with their number.

    Args:
        symmetric: relations that hold in both directions.

    Attributes:
        both_arguments_found: number of gold triples whose two arguments were both found as entities, whatever
            their types: an upper bound on the triples that can be right.
    """

    def __init__(self, symmetric: Collection[str] = ()) -> None:
        self._symmetric = symmetric
        self.both_arguments_found = 0
        self._scores = TripleScores(SpanScore(), SpanScore(), SpanScore(), SpanScore())

    def add(self, gold: Iterable[Triple], predicted: Iterable[Triple], entities: Iterable[Span] = ()) -> None:
        """Count one post.

        Args:
            gold: all annotated pairs, unrelated pairs as ``None``.
            predicted: predicted triples, without ``None``. Duplicates count once.
            entities: predicted entities.
        """
        gold, predicted = (list(map(self._canonical, triples)) for triples in (gold, predicted))
        annotated = {_pair(triple) for triple in gold}
        wanted = [triple for triple in gold if triple.relation != NONE]
        known = [triple for triple in predicted if _pair(triple) in annotated]
        found = {entity[:2] for entity in entities}
        self.both_arguments_found += sum(_pair(triple) <= found for triple in set(map(_untyped, wanted)))
        parts = (
            _count(wanted, predicted),
            _count(map(_untyped, wanted), map(_untyped, predicted)),
            _count(wanted, known),
            _count(map(_untyped, wanted), map(_untyped, known)),
        )
        self._scores = TripleScores(*map(_sum, self._scores, parts))

    def _canonical(self, triple: Triple) -> Triple:
        """The triple; of a symmetric relation, with the first argument in the text as the head."""
        head, tail = sorted((triple.head, triple.tail))
        return triple._replace(head=head, tail=tail) if triple.relation in self._symmetric else triple

    def scores(self) -> TripleScores:
        """Scores of the posts counted so far."""
        return self._scores


def _pair(triple: Triple) -> frozenset[tuple[int, int]]:
    """Boundaries of both arguments, unordered."""
    return frozenset({triple.head[:2], triple.tail[:2]})


def _untyped(triple: Triple) -> Triple:
    return Triple((*triple.head[:2], ""), triple.relation, (*triple.tail[:2], ""))


def _count(gold: Iterable[Triple], predicted: Iterable[Triple]) -> SpanScore:
    wanted, found = set(gold), set(predicted)
    return SpanScore(len(wanted & found), len(found), len(wanted))


def _sum(one: SpanScore, other: SpanScore) -> SpanScore:
    return SpanScore(one.correct + other.correct, one.predicted + other.predicted, one.gold + other.gold)
