"""The entities that relations are extracted between: predicted by a tagger, or provided with the posts.

Both also give types to the arguments of a post's gold relations. They never use the types that these
relations carry: in some corpora those come from the relation's name, and would leak the label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from twofold.inference.encode import EncodedPost
from twofold.inference.modality_states import ModalityStates
from twofold.inference.relation_extractor import EntityPair, PostEntities
from twofold.inference.tagger import Tagger
from twofold.inference.truncation import truncations
from twofold.posts import Entity, PictureReport, Post, Truncation
from twofold.preprocessing.entity_markers import word_span
from twofold.preprocessing.segmentation import segment_post

_PICTURE_NOT_NEEDED = PictureReport("none", "not needed: the post has no candidate pair of entities")
_NO_ENTITIES = "this model predicts no entities, and the post provides none"


class EntityBatch(NamedTuple):
    """Some posts with their entities.

    Attributes:
        posts: the posts with their entities.
        pictures: of each post, whether its picture was read.
        modalities: states of the posts' modalities; None where nothing was encoded.
        warnings: for the user, on each post.
        encoded_posts: output of the tagging network for each post; None without a tagger.
        truncated: inputs of each post that the tagger truncated; None without a tagger.
    """

    posts: list[PostEntities]
    pictures: list[PictureReport]
    modalities: ModalityStates | None
    warnings: list[tuple[str, ...]]
    encoded_posts: list[EncodedPost] | None = None
    truncated: list[tuple[Truncation, ...]] | None = None


class EntityProvider(Protocol):
    """Provides the entities of posts.

    Attributes:
        types_are_predicted: whether the types of `gold_pairs` are predicted, and must not rule out relations.
    """

    types_are_predicted: bool

    def entities(self, posts: Sequence[Post], batch_size: int) -> EntityBatch:
        """Entities of some posts."""

    def gold_pairs(
        self, posts: Sequence[Post], batch_size: int
    ) -> tuple[EntityBatch, list[list[EntityPair]]]:
        """Some posts, and the typed (head, tail) of each of their gold relations."""


class PredictedEntities:
    """Entities predicted by a tagger.

    Args:
        tagger: the tagger.
    """

    types_are_predicted = True

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    def entities(self, posts: Sequence[Post], batch_size: int) -> EntityBatch:
        """See `EntityProvider`."""
        encoded_posts, modalities = self._encode(posts, batch_size)
        truncated = [tuple(truncations(e.post, e.words, self._tagger.network)) for e in encoded_posts]
        batch = _batch(encoded_posts, self._tagger.entities(encoded_posts), modalities)
        return batch._replace(truncated=truncated)

    def gold_pairs(
        self, posts: Sequence[Post], batch_size: int
    ) -> tuple[EntityBatch, list[list[EntityPair]]]:
        """See `EntityProvider`; each argument gets the most probable type for exactly its words."""
        encoded_posts, modalities = self._encode(posts, batch_size)
        pairs = [self._typed_pairs(encoded) for encoded in encoded_posts]
        return _batch(encoded_posts, [() for _ in posts], modalities), pairs

    def _encode(
        self, posts: Sequence[Post], batch_size: int
    ) -> tuple[list[EncodedPost], ModalityStates]:  # fmt: skip
        modalities = self._tagger.network.encode_modalities(posts, batch_size)
        return self._tagger.encoder.encode(posts, batch_size, modalities), modalities

    def _typed_pairs(self, encoded: EncodedPost) -> list[EntityPair]:
        arguments = [a for r in encoded.post.relations or () for a in (r.head, r.tail)]
        spans = [word_span(encoded.words, a.start, a.end) for a in arguments]
        distinct = list({span for span in spans if span is not None})
        (types,) = self._tagger.decoder.most_probable_types([encoded.emissions], [distinct])
        type_of = dict(zip(distinct, types, strict=True))
        typed = [
            _with_type(argument, type_of[span] if span else "")
            for argument, span in zip(arguments, spans, strict=True)
        ]
        return list(zip(typed[::2], typed[1::2], strict=True))


class ProvidedEntities:
    """Entities that the posts carry: gold entities, or the arguments of gold relations."""

    types_are_predicted = False

    def entities(self, posts: Sequence[Post], batch_size: int) -> EntityBatch:
        """See `EntityProvider`."""
        entities = [_provided_entities(post) for post in posts]
        return EntityBatch(
            [PostEntities(p, segment_post(p), row or ()) for p, row in zip(posts, entities, strict=True)],
            [_PICTURE_NOT_NEEDED if post.image is not None else PictureReport("none") for post in posts],
            None,
            [() if row is not None else (_NO_ENTITIES,) for row in entities],
        )

    def gold_pairs(
        self, posts: Sequence[Post], batch_size: int
    ) -> tuple[EntityBatch, list[list[EntityPair]]]:
        """See `EntityProvider`; an argument has the type of the gold entity over the same words, if any."""
        return self.entities(posts, batch_size), [_typed_pairs(post) for post in posts]


def _batch(
    encoded_posts: list[EncodedPost], entities: Sequence[Sequence[Entity]], modalities: ModalityStates
) -> EntityBatch:
    return EntityBatch(
        [PostEntities(e.post, e.words, row) for e, row in zip(encoded_posts, entities, strict=True)],
        [encoded.picture for encoded in encoded_posts],
        modalities,
        [warnings_on(encoded) for encoded in encoded_posts],
        encoded_posts,
    )


def warnings_on(encoded: EncodedPost) -> tuple[str, ...]:
    """Warnings for the user on a post that a tagger encoded."""
    if encoded.words:
        return ()
    return ("the text is empty" if not encoded.post.text else "the text has no words",)


def _provided_entities(post: Post) -> tuple[Entity, ...] | None:
    if post.entities is not None:
        return post.entities
    if post.relations is None:
        return None
    arguments = {(a.start, a.end): a for pair in _typed_pairs(post) for a in pair}
    return tuple(arguments[span] for span in sorted(arguments))


def _typed_pairs(post: Post) -> list[EntityPair]:
    types = {(entity.start, entity.end): entity.type for entity in post.entities or ()}

    def typed(argument: Entity) -> Entity:
        return _with_type(argument, types.get((argument.start, argument.end), ""))

    return [(typed(relation.head), typed(relation.tail)) for relation in post.relations or ()]


def _with_type(argument: Entity, type_: str) -> Entity:
    return dataclasses.replace(argument, type=type_)
