"""Gold pairs of posts: their word spans, and argument types that a tagger predicts.

A data set may give argument types for some pairs only: MNRE names them in the relation, so that a pair in no
relation has none. Such types would give the answer away. In training a tagger therefore predicts the types of
all pairs, as at inference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from twofold.inference.entities import EntityProvider
from twofold.posts import Post
from twofold.preprocessing.entity_markers import Argument, Pair, word_span
from twofold.preprocessing.segmentation import Span

_GROUP = 256  # posts at a time


def gold_pairs(post: Post, words: Sequence[Span]) -> Iterator[Pair | None]:
    """Head and tail of each relation of a post, in words; None where one of them holds no word."""
    for relation in post.relations or ():
        head, tail = (word_span(words, e.start, e.end) for e in (relation.head, relation.tail))
        if head is None or tail is None:
            yield None
        else:
            yield Argument(*head, relation.head.type), Argument(*tail, relation.tail.type)


def with_types(posts: Iterable[Post], provider: EntityProvider, batch_size: int = 32) -> Iterator[Post]:
    """The posts with the argument types that ``provider`` predicts, instead of their own."""
    stream = iter(posts)
    while group := list(islice(stream, _GROUP)):
        _, arguments = provider.gold_pairs(group, batch_size)
        for post, pairs in zip(group, arguments, strict=True):
            relations = [
                dataclasses.replace(relation, head=head, tail=tail)
                for relation, (head, tail) in zip(post.relations or (), pairs, strict=True)
            ]
            yield dataclasses.replace(post, relations=tuple(relations))
