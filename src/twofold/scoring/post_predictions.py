"""Predictions on labelled posts: the extraction of each post, and the relation of each of its gold pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from twofold.calibration.uncalibrated import uncalibrated_confidences
from twofold.posts import Extraction, Post, Relation

if TYPE_CHECKING:
    from twofold.pipeline.inference_pipeline import InferencePipeline

_GROUP = 256  # posts predicted at a time


class PostPredictions(NamedTuple):
    """A labelled post and what the model predicts for it.

    Attributes:
        post: post with gold labels.
        extraction: predicted without them.
        uncalibrated: confidence of each entity before calibration; empty unless requested.
        gold_pairs: predicted relation of each gold pair of the post; empty for a model without relations.
    """

    post: Post
    extraction: Extraction
    uncalibrated: list[float]
    gold_pairs: tuple[Relation, ...]


def predict_posts(
    pipeline: InferencePipeline, posts: Iterable[Post], batch_size: int, uncalibrated: bool
) -> Iterator[PostPredictions]:
    """Predict posts one after the other.

    Args:
        pipeline: the model.
        posts: posts, read lazily.
        batch_size: windows of text in a batch.
        uncalibrated: whether to return confidences before calibration, too.
    """
    stream = iter(posts)
    while group := list(islice(stream, _GROUP)):
        extracted = list(pipeline.extract_with_encodings(group, batch_size=batch_size))
        found = [extraction for extraction, _ in extracted]
        raw: list[list[float]] = [[] for _ in group]
        if uncalibrated and pipeline.types:
            encoded = [item for _, item in extracted if item is not None]
            raw = uncalibrated_confidences(pipeline.decoder, encoded, [item.entities for item in found])
        pairs: Iterable[tuple[Relation, ...]] = [() for _ in group]
        if pipeline.relations:
            pairs = (row.relations for row in pipeline.classify_gold_pairs(group, batch_size=batch_size))
        yield from (PostPredictions(*row) for row in zip(group, found, raw, pairs, strict=True))
