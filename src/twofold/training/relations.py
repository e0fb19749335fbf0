"""The task of relations in a training: a class for each marked pair of a post.

Every gold relation is an example of its own, in the window of its pair with head and tail marked
(`twofold.runtime.pairs`). The types that typed markers tell come from a tagger, in training as in use:
MNRE gives types only to pairs that stand in a relation, in the relation's very name.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from twofold.pipeline import Extractor
from twofold.posts import Post, Relation
from twofold.runtime.folder import NO_RELATION
from twofold.runtime.pairs import Argument, PairPieces, word_span
from twofold.segmentation import Span, segment_post
from twofold.training.examples import Example, text_sources

RARE = 0.02
"""Type pairs of fewer of a relation's instances than this part are taken for errors of the tagger."""
Pair = tuple[Argument, Argument]


def relation_labels(posts: Sequence[Post]) -> list[str]:
    """``None`` first, then the relations of the posts in alphabetical order."""
    seen = {relation.type for post in posts for relation in post.relations or ()}
    return [NO_RELATION, *sorted(seen - {NO_RELATION})]


def relation_counts(posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
    """How often each label is there."""
    seen = Counter(relation.type for post in posts for relation in post.relations or ())
    return [seen[label] for label in labels]


def argument_types(posts: Sequence[Post]) -> dict[str, list[list[str]]]:
    """Types (head, tail) between which each relation but ``None`` was seen, without the rare ones."""
    seen: dict[str, Counter[tuple[str, str]]] = {}
    for post in posts:
        for relation in post.relations or ():
            seen.setdefault(relation.type, Counter())[relation.head.type, relation.tail.type] += 1
    return {
        name: sorted(list(pair) for pair, count in pairs.items() if count >= RARE * pairs.total())
        for name, pairs in sorted(seen.items())
        if name != NO_RELATION
    }


def without_types(posts: Sequence[Post]) -> list[Post]:
    """The posts with arguments of unknown type."""
    return [_retyped(post, [("", "")] * len(post.relations or ())) for post in posts]


def with_types(posts: Sequence[Post], tagger: Extractor) -> list[Post]:
    """The posts with arguments of the type that a tagger gives their words, whatever types they had."""
    typed: list[Post] = []
    for reading in tagger.read(posts):
        pairs = list(pairs_of(reading.post, reading.words))
        spans = [(a.lo, a.hi) for pair in pairs for a in pair or ()]
        (types,) = tagger.decoder.type_of_span([reading.emissions], [spans])
        found = iter(types)
        typed.append(
            _retyped(reading.post, [(next(found), next(found)) if pair else ("", "") for pair in pairs])
        )
    return typed


def _retyped(post: Post, types: Sequence[tuple[str, str]]) -> Post:
    def change(relation: Relation, head: str, tail: str) -> Relation:
        return dataclasses.replace(
            relation,
            head=dataclasses.replace(relation.head, type=head),
            tail=dataclasses.replace(relation.tail, type=tail),
        )

    pairs = zip(post.relations or (), types, strict=True)
    return dataclasses.replace(post, relations=tuple(change(r, *kinds) for r, kinds in pairs))


def pairs_of(post: Post, words: Sequence[Span]) -> Iterator[Pair | None]:
    """Head and tail of each relation of a post, in words; None where one of them holds no word."""
    for relation in post.relations or ():
        head, tail = (word_span(words, e.start, e.end) for e in (relation.head, relation.tail))
        if head is None or tail is None:
            yield None
        else:
            yield Argument(*head, relation.head.type), Argument(*tail, relation.tail.type)


def pair_examples(
    posts: Sequence[Post], rows: Sequence[Mapping[str, int]], pieces: PairPieces, labels: Sequence[str]
) -> list[Example]:
    """Examples of all relations; one whose arguments hold no word gives none.

    The target of a class that the labels do not know (a dev file may hold one) is −1: never right.
    """
    number = {label: i for i, label in enumerate(labels)}
    examples = []
    for place, post in enumerate(posts):
        words = segment_post(post)
        texts, found = text_sources(post, pieces.pieces), rows[place]
        relations = zip(post.relations or (), pairs_of(post, words), strict=True)
        usable = [(number.get(relation.type, -1), pair) for relation, pair in relations if pair]
        marked = pieces.windows(post.text, words, [pair for _, pair in usable])
        for (target, _), (window, slot, _) in zip(usable, marked, strict=True):
            examples.append(Example(place, window, [target], [slot], texts, found))
    return examples
