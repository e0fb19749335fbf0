"""Relations end to end: from a bare text to (head, relation, tail), counted in four ways.

A triple is right if the relation and both ends are, head and tail in the order of the gold unless the
relation holds both ways: no text says which of two peers is the first. Typed: start,
end and type of each end count; by spans: start and end only (MNRE tells no types of pairs that stand in no
relation, and a tagger may type an end otherwise without harm).

MNRE annotates some pairs of a post and says nothing of the others: a triple between two entities of which
nothing was annotated may be right or wrong. Counted over all pairs it is wrong, which is too strict; over the
annotated pairs only it is left out, which is too mild, since a pair with a misplaced border is left out with
it. Recall is the same both ways. Pairs annotated as ``None`` count as annotated and are no triples.

It does not know files or models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from twofold.evaluation.relations import NONE
from twofold.evaluation.spans import Span, SpanScore
from twofold.posts import Entity, Post, Relation


class Triple(NamedTuple):
    """A relation with its ends, each (start, end, type)."""

    head: Span
    relation: str
    tail: Span


def triple_of(relation: Relation) -> Triple:
    """A relation with its ends as spans."""
    return Triple(span_of(relation.head), relation.type, span_of(relation.tail))


def either_way(gold: Iterable[Triple], symmetric: Collection[str]) -> list[Triple]:
    """The triples, and those of symmetric relations from their other end, too."""
    gold = list(gold)
    return gold + [t._replace(head=t.tail, tail=t.head) for t in gold if t.relation in symmetric]


def span_of(entity: Entity) -> Span:
    """An entity as a span."""
    return entity.start, entity.end, entity.type


class TripleScores(NamedTuple):
    """Scores in the four ways of counting, see the top of the file."""

    typed: SpanScore
    by_spans: SpanScore
    typed_annotated: SpanScore
    by_spans_annotated: SpanScore


class TripleCounter:
    """Counts posts one by one; its size does not grow with them.

    Args:
        symmetric: relations that hold both ways.

    Attributes:
        within_reach: gold triples both of whose ends were found as entities, whatever their types: no more
            can be right.
    """

    def __init__(self, symmetric: Collection[str] = ()) -> None:
        self._symmetric = symmetric
        self.within_reach = 0
        self._scores = TripleScores(SpanScore(), SpanScore(), SpanScore(), SpanScore())

    def add(self, gold: Iterable[Triple], predicted: Iterable[Triple], entities: Iterable[Span] = ()) -> None:
        """Count one post.

        Args:
            gold: all annotated pairs, those in no relation as ``None``.
            predicted: what was found, ``None`` not among it. A triple named twice counts once.
            entities: that were found.
        """
        gold, predicted = (list(map(self._in_order, triples)) for triples in (gold, predicted))
        annotated = {_pair(triple) for triple in gold}
        wanted = [triple for triple in gold if triple.relation != NONE]
        known = [triple for triple in predicted if _pair(triple) in annotated]
        places = {entity[:2] for entity in entities}
        self.within_reach += sum(_pair(triple) <= places for triple in set(map(_untyped, wanted)))
        parts = (
            _count(wanted, predicted),
            _count(map(_untyped, wanted), map(_untyped, predicted)),
            _count(wanted, known),
            _count(map(_untyped, wanted), map(_untyped, known)),
        )
        self._scores = TripleScores(*map(_sum, self._scores, parts))

    def _in_order(self, triple: Triple) -> Triple:
        """A symmetric relation from its first end, whichever it was told from."""
        head, tail = sorted((triple.head, triple.tail))
        return triple._replace(head=head, tail=tail) if triple.relation in self._symmetric else triple

    def scores(self) -> TripleScores:
        """Scores of what was counted so far."""
        return self._scores


def _pair(triple: Triple) -> frozenset[tuple[int, int]]:
    """Places of both ends, whichever is the head."""
    return frozenset({triple.head[:2], triple.tail[:2]})


def _untyped(triple: Triple) -> Triple:
    return Triple((*triple.head[:2], ""), triple.relation, (*triple.tail[:2], ""))


def _count(gold: Iterable[Triple], predicted: Iterable[Triple]) -> SpanScore:
    wanted, found = set(gold), set(predicted)
    return SpanScore(len(wanted & found), len(found), len(wanted))


def _sum(one: SpanScore, other: SpanScore) -> SpanScore:
    return SpanScore(one.correct + other.correct, one.predicted + other.predicted, one.gold + other.gold)


def whole_posts(posts: Iterable[Post]) -> Iterator[Post]:
    """Posts with all that is known of them together: files such as MNRE's hold a line for each relation.

    Posts with gold relations and no gold entities whose text, picture and description are the same become
    one, with the relations of all of them, at the end of the stream; others pass as they are. What waits
    for the end is kept in memory.
    """
    waiting: dict[tuple[object, ...], list[Post]] = {}
    for post in posts:
        if post.relations is None or post.entities is not None:
            yield post
        else:
            waiting.setdefault((post.text, post.tokens, post.image, post.alt_text), []).append(post)
    yield from map(_joined, waiting.values())


def _joined(posts: Sequence[Post]) -> Post:
    return replace(posts[0], relations=tuple(r for post in posts for r in post.relations or ()))
