"""Confidences before calibration: temperature 1 and no isotonic map.

This module does not know what was fitted, or whether anything was.
"""

from __future__ import annotations

from collections.abc import Sequence

from twofold.crf import ChainDecoder, TagSpan
from twofold.inference.encode import EncodedPost
from twofold.posts import Entity


def uncalibrated_confidences(
    decoder: ChainDecoder, posts: Sequence[EncodedPost], entities: Sequence[Sequence[Entity]]
) -> list[list[float]]:
    """Confidence of each entity of each post before any calibration, in [0, 1].

    Args:
        decoder: the CRF.
        posts: the encoded posts.
        entities: predicted entities of each post.
    """
    spans = [[_span(post, e) for e in row] for post, row in zip(posts, entities, strict=True)]
    values = decoder.confidences([post.emissions for post in posts], spans, 1.0)
    return [row.tolist() for row in values]


def _span(post: EncodedPost, entity: Entity) -> TagSpan:
    first = next(i for i, (start, _) in enumerate(post.words) if start == entity.start)
    last = next(i for i, (_, end) in enumerate(post.words) if end == entity.end)
    return TagSpan(first, last + 1, entity.type)
