"""Gold pairs of posts at work: the types a tagger gives their arguments, and what a relation model says.

Scoring, calibration and training come through here. A data set may tell types of arguments for some
pairs only (MNRE names them in the relation, and a pair in none has none): then they would give the answer
away, so that they are taken from a tagger for all. It does not count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from twofold.posts import Post, Relation
from twofold.runtime.decoding import ChainDecoder
from twofold.runtime.pairs import Argument, word_span
from twofold.runtime.reading import Reading
from twofold.runtime.relations import Pair, RelationReader, Verdict
from twofold.segmentation import Span, segment_post

_TOGETHER = 256  # posts read at once


class Tagger(Protocol):
    """What reads posts for entities, as `twofold.load` gives it."""

    @property
    def decoder(self) -> ChainDecoder:
        """Its CRF."""

    def read(self, posts: Iterable[Post]) -> Iterator[Reading]:
        """A reading a post, in order."""


class Judged(NamedTuple):
    """A gold relation and what the model takes its pair for.

    Attributes:
        relation: the gold one.
        verdict: the model's; None where an argument holds no word, so that nothing could be read.
    """

    relation: Relation
    verdict: Verdict | None


def gold_pairs(post: Post, words: Sequence[Span]) -> Iterator[Pair | None]:
    """Head and tail of each relation of a post, in words; None where one of them holds no word."""
    for relation in post.relations or ():
        head, tail = (word_span(words, e.start, e.end) for e in (relation.head, relation.tail))
        if head is None or tail is None:
            yield None
        else:
            yield Argument(*head, relation.head.type), Argument(*tail, relation.tail.type)


def with_types(posts: Iterable[Post], tagger: Tagger) -> Iterator[Post]:
    """The posts with arguments of the types that a tagger gives their words, whatever types they had."""
    for reading in tagger.read(posts):
        pairs = list(gold_pairs(reading.post, reading.words))
        spans = [(side.lo, side.hi) for pair in pairs for side in pair or ()]
        (found,) = tagger.decoder.type_of_span([reading.emissions], [spans])
        types = iter(found)
        given = [(next(types), next(types)) if pair else ("", "") for pair in pairs]
        retyped = map(_retyped, reading.post.relations or (), given)
        yield dataclasses.replace(reading.post, relations=tuple(retyped))


def _retyped(relation: Relation, types: tuple[str, str]) -> Relation:
    head, tail = (
        dataclasses.replace(side, type=kind)
        for side, kind in zip((relation.head, relation.tail), types, strict=True)
    )
    return dataclasses.replace(relation, head=head, tail=tail)


def judged(
    reader: RelationReader, posts: Iterable[Post], batch_size: int = 32
) -> Iterator[tuple[Post, list[Judged]]]:
    """What a model says of the gold pairs of posts, a list a post, in order.

    Args:
        reader: the model.
        posts: taken some hundreds at a time.
        batch_size: windows in a batch, at most.
    """
    stream = iter(posts)
    while group := list(islice(stream, _TOGETHER)):
        pairs = [list(gold_pairs(post, segment_post(post))) for post in group]
        usable = [[pair for pair in row if pair] for row in pairs]
        for post, row, readings in zip(group, pairs, reader.read(group, usable, batch_size), strict=True):
            verdicts = iter(reader.judge(readings))
            said = [next(verdicts) if pair else None for pair in row]
            yield post, [Judged(*item) for item in zip(post.relations or (), said, strict=True)]
