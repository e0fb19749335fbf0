"""Prepares predicted entities for the comparison with the gold: renames types, widens spans to gold tokens.

Published scorers count tokens, and a token has one tag. Where the gold is tokenised, a predicted span that
begins or ends inside a token is therefore widened to it. If two spans touch one token, it goes to the first.
Where gold spans themselves begin or end inside tokens, nothing is widened.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from twofold.evaluation.spans import Span
from twofold.posts import Entity, Extraction, Post, renamed


def comparable(
    post: Post, entities: Sequence[Entity], types: Mapping[str, str] | None = None
) -> list[Entity | None]:
    """Each predicted entity as it is compared with the gold; None for one that is dropped.

    Args:
        post: post with tokens and gold entities, whose types are mapped already.
        entities: predicted entities, in order, not overlapping.
        types: new names of types, see `posts.with_types`.
    """
    named = [next(iter(renamed([entity], types or {})), None) for entity in entities]
    if post.tokens is None or not _at_tokens(post.entities or (), post.tokens):
        return named
    return list(_widened(named, post.tokens, post.text))


def comparable_extraction(post: Post, extraction: Extraction, types: Mapping[str, str]) -> Extraction:
    """An extraction whose entities, those of its relations included, are `comparable`."""
    pairs = zip(extraction.entities, comparable(post, extraction.entities, types), strict=True)
    new = {(old.start, old.end): entity for old, entity in pairs}
    relations = []
    for relation in extraction.relations:
        head, tail = (new.get((e.start, e.end), e) for e in (relation.head, relation.tail))
        if head is not None and tail is not None:
            relations.append(replace(relation, head=head, tail=tail))
    entities = tuple(entity for entity in new.values() if entity is not None)
    return replace(extraction, entities=entities, relations=tuple(relations))


def spans(entities: Iterable[Entity]) -> list[tuple[Span, bool]]:
    """Each entity as a span, and whether it is well formed."""
    return [((e.start, e.end, e.type), e.well_formed) for e in entities]


def _at_tokens(entities: Iterable[Entity], tokens: Sequence[tuple[int, int]]) -> bool:
    starts, ends = {start for start, _ in tokens}, {end for _, end in tokens}
    return all(entity.start in starts and entity.end in ends for entity in entities)


def _widened(
    entities: Iterable[Entity | None], tokens: Sequence[tuple[int, int]], text: str
) -> Iterator[Entity | None]:
    starts, ends = [start for start, _ in tokens], [end for _, end in tokens]
    free = 0  # the first token not assigned to an entity
    for entity in entities:
        if entity is None:
            yield None
            continue
        first, last = bisect_right(ends, entity.start), bisect_left(starts, entity.end)
        if first >= last:  # between tokens
            yield entity
        elif last <= free:
            yield None
        else:
            start, end = starts[max(first, free)], ends[last - 1]
            free = last
            yield replace(entity, start=start, end=end, text=text[start:end])
