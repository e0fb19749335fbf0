"""What a relation model would tell of gold pairs in use, where nobody says which end is the head.

It does not know what is made of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from twofold.calibration.relations import RelationPredictions
from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.corpora.post_stream import groups
from twofold.inference.relation_classifier import RelationClassifier
from twofold.inference.relation_extractor import EntityPair, PostEntities, RelationExtractor
from twofold.posts import Entity, Post
from twofold.preprocessing.segmentation import segment_post

_TOGETHER = 256  # posts read at once
_BATCH = 32


def told(reader: RelationClassifier, posts: Sequence[Post], typed: bool) -> RelationPredictions:
    """Relations told between the ends of gold pairs; lines of one post become one.

    Args:
        reader: the model.
        posts: with gold relations.
        typed: whether the types of their ends may be looked at. MNRE's own name the relation: then not.
    """
    whole = list(merge_posts_of_one_text(posts))
    extractor = RelationExtractor(reader)
    predicted = [
        related.predictions
        for group in groups(iter(whole), _TOGETHER)
        for related in extractor.extract_pairs(
            [PostEntities(post, segment_post(post), ()) for post in group],
            [list(_ends(post, typed)) for post in group],
            _BATCH,
        )
    ]
    return RelationPredictions(whole, predicted)


def _ends(post: Post, typed: bool) -> Iterator[EntityPair]:
    for relation in post.relations or ():
        yield _end(relation.head, typed), _end(relation.tail, typed)


def _end(entity: Entity, typed: bool) -> Entity:
    return entity if typed else dataclasses.replace(entity, type="")
