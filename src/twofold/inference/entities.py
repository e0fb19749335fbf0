"""Where the entities of posts come from: a tagger finds them, or the posts give them.

Either also says of which types the ends of a post's gold relations are, as far as anyone may know: not from
the relations themselves, since a corpus may tell the types in the name of what is to be found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from twofold.inference.encode import Reading
from twofold.inference.modality_states import PostSources
from twofold.inference.relation_extractor import Ends, EntityPost
from twofold.inference.tagger import Tagger
from twofold.posts import Entity, PictureReport, Post
from twofold.preprocessing.entity_markers import word_span
from twofold.preprocessing.segmentation import segment_post

_NOT_LOOKED_AT = PictureReport("none", "not looked at: no two entities wanted it")
_NO_ENTITIES = "this model finds no entities of its own, and the post gives none"


class Found(NamedTuple):
    """Some posts with their entities.

    Attributes:
        posts: the posts.
        pictures: what became of the picture of each.
        sources: what was read of them; None where nothing was.
        warnings: remarks for the user on each.
        readings: what the tagger saw in each; None where none looked.
    """

    posts: list[EntityPost]
    pictures: list[PictureReport]
    sources: PostSources | None
    warnings: list[tuple[str, ...]]
    readings: list[Reading] | None = None


class EntityFinder(Protocol):
    """A source of entities.

    Attributes:
        guesses: whether the types that `ends` gives are guesses, which forbid no relation.
    """

    guesses: bool

    def find(self, posts: Sequence[Post], batch_size: int) -> Found:
        """Entities of some posts."""

    def ends(self, posts: Sequence[Post], batch_size: int) -> tuple[Found, list[list[Ends]]]:
        """Some posts with head and tail of their gold relations, typed."""


class Predicted:
    """Entities that a tagger finds.

    Args:
        tagger: the tagger.
    """

    guesses = True

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    def find(self, posts: Sequence[Post], batch_size: int) -> Found:
        """See `EntityFinder`."""
        readings, sources = self._read(posts, batch_size)
        return _found(readings, self._tagger.entities(readings), sources)

    def ends(self, posts: Sequence[Post], batch_size: int) -> tuple[Found, list[list[Ends]]]:
        """See `EntityFinder`; each end has the type that is the most probable for exactly its words."""
        readings, sources = self._read(posts, batch_size)
        pairs = [self._typed(reading) for reading in readings]
        return _found(readings, [() for _ in posts], sources), pairs

    def _read(self, posts: Sequence[Post], batch_size: int) -> tuple[list[Reading], PostSources]:
        sources = self._tagger.network.read_sources(posts, batch_size)
        return self._tagger.reader.read(posts, batch_size, sources), sources

    def _typed(self, reading: Reading) -> list[Ends]:
        given = [end for r in reading.post.relations or () for end in (r.head, r.tail)]
        spans = [word_span(reading.words, end.start, end.end) for end in given]
        known = list({span for span in spans if span is not None})
        (types,) = self._tagger.decoder.type_of_span([reading.emissions], [known])
        type_of = dict(zip(known, types, strict=True))
        ends = [_given(end, type_of[span] if span else "") for end, span in zip(given, spans, strict=True)]
        return list(zip(ends[::2], ends[1::2], strict=True))


class Given:
    """Entities as the posts carry them: gold ones, or the ends of gold relations."""

    guesses = False

    def find(self, posts: Sequence[Post], batch_size: int) -> Found:
        """See `EntityFinder`."""
        entities = [_entities(post) for post in posts]
        return Found(
            [EntityPost(p, segment_post(p), row or ()) for p, row in zip(posts, entities, strict=True)],
            [_NOT_LOOKED_AT if post.image is not None else PictureReport("none") for post in posts],
            None,
            [() if row is not None else (_NO_ENTITIES,) for row in entities],
        )

    def ends(self, posts: Sequence[Post], batch_size: int) -> tuple[Found, list[list[Ends]]]:
        """See `EntityFinder`; an end has the type of the gold entity over the same words, if any."""
        return self.find(posts, batch_size), [_ends(post) for post in posts]


def _found(readings: list[Reading], entities: Sequence[Sequence[Entity]], sources: PostSources) -> Found:
    return Found(
        [EntityPost(r.post, r.words, row) for r, row in zip(readings, entities, strict=True)],
        [reading.picture for reading in readings],
        sources,
        [warnings_on(reading) for reading in readings],
        readings,
    )


def warnings_on(reading: Reading) -> tuple[str, ...]:
    """Remarks for the user on what a tagger read."""
    if reading.words:
        return ()
    return ("the text is empty" if not reading.post.text else "the text has no words",)


def _entities(post: Post) -> tuple[Entity, ...] | None:
    if post.entities is not None:
        return post.entities
    if post.relations is None:
        return None
    ends = {(end.start, end.end): end for pair in _ends(post) for end in pair}
    return tuple(ends[place] for place in sorted(ends))


def _ends(post: Post) -> list[Ends]:
    types = {(entity.start, entity.end): entity.type for entity in post.entities or ()}

    def typed(end: Entity) -> Entity:
        return _given(end, types.get((end.start, end.end), ""))

    return [(typed(relation.head), typed(relation.tail)) for relation in post.relations or ()]


def _given(end: Entity, type_: str) -> Entity:
    return dataclasses.replace(end, type=type_)
