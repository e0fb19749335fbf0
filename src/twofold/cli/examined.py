"""Posts as ``twofold evaluate`` looks at them: what was found in each, what its given pairs are taken for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from twofold.calibration.uncalibrated import uncalibrated
from twofold.posts import Extraction, Post, Relation

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

_TOGETHER = 256  # posts that are looked at before the next ones are read


class Examined(NamedTuple):
    """A labelled post and what the model says of it.

    Attributes:
        post: with its gold.
        extraction: made without.
        before: confidence of each entity before calibration; empty where it was not asked for.
        pairs: what each pair of the post's gold relations is taken for; empty for a model without relations.
    """

    post: Post
    extraction: Extraction
    before: list[float]
    pairs: tuple[Relation, ...]


def examined(
    extractor: Extractor, posts: Iterable[Post], batch_size: int, before: bool
) -> Iterator[Examined]:
    """Look at posts one after the other.

    Args:
        extractor: the model.
        posts: taken as they are needed.
        batch_size: windows of text read at once.
        before: whether to tell confidences before calibration, too.
    """
    stream = iter(posts)
    while group := list(islice(stream, _TOGETHER)):
        traced = list(extractor.traced(group, batch_size=batch_size))
        found = [extraction for extraction, _ in traced]
        raw: list[list[float]] = [[] for _ in group]
        if before and extractor.types:
            readings = [reading for _, reading in traced if reading is not None]
            raw = uncalibrated(extractor.decoder, readings, [item.entities for item in found])
        pairs: Iterable[tuple[Relation, ...]] = [() for _ in group]
        if extractor.relations:
            pairs = extractor.classify(group, batch_size=batch_size)
        yield from (Examined(*row) for row in zip(group, found, raw, pairs, strict=True))
