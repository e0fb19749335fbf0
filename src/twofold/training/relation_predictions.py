"""Relations that a model predicts for gold pairs as at inference, where the order of head and tail is
unknown."""

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

_GROUP = 256  # posts at a time
_BATCH = 32


def predict_gold_pairs(
    classifier: RelationClassifier, posts: Sequence[Post], typed: bool
) -> RelationPredictions:
    """Predicted relations between the arguments of gold pairs; the records of one post are merged.

    Args:
        classifier: the model.
        posts: with gold relations.
        typed: whether the model may use the types of the arguments; not those of MNRE, which name the
            relation.
    """
    whole = list(merge_posts_of_one_text(posts))
    extractor = RelationExtractor(classifier)
    predicted = [
        related.predictions
        for group in groups(iter(whole), _GROUP)
        for related in extractor.extract_pairs(
            [PostEntities(post, segment_post(post), ()) for post in group],
            [list(_pairs(post, typed)) for post in group],
            _BATCH,
        )
    ]
    return RelationPredictions(whole, predicted)


def _pairs(post: Post, typed: bool) -> Iterator[EntityPair]:
    for relation in post.relations or ():
        yield _argument(relation.head, typed), _argument(relation.tail, typed)


def _argument(entity: Entity, typed: bool) -> Entity:
    return entity if typed else dataclasses.replace(entity, type="")
