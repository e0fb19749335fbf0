"""Predictions as arrays, gathered post by post: what all figures of trust are computed from.

Spans are compared as the lenient count does: gold is every gold span of the post, each once. Of a post it
keeps nothing but its number.

Shape letters: S predictions, G missed gold items, P posts, M sources.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.mistakes import RIGHT, kind_of
from twofold.posts import Entity

Floats = NDArray[np.float64]
Names = NDArray[np.str_]
Integers = NDArray[np.int64]

UNCERTAINTIES = ("aleatoric", "epistemic", "total")
"""``total`` is the sum of the two, the predictive variance."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """S predictions on P posts, and the G gold items that none of them is.

    Attributes:
        confidence: (S,) in [0, 1].
        kind: (S,) ``right`` or a kind of mistake, see `mistakes`.
        type: (S,) predicted type.
        post: (S,) number of the post.
        posts: P, posts without predictions included.
        missed_type: (G,) type of each gold item that was missed.
        missed_post: (G,) number of its post.
        uncertainty: (S,) by measure, larger for less sure; nan where there is none.
        share: (S,) by source; nan where the post does not have the source.
    """

    confidence: Floats
    kind: Names
    type: Names
    post: Integers
    posts: int
    missed_type: Names
    missed_post: Integers
    uncertainty: Mapping[str, Floats]
    share: Mapping[str, Floats]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(S,) True where a prediction is right."""
        return np.asarray(self.kind == RIGHT)

    @property
    def gold(self) -> int:
        """Number of gold items, found and missed."""
        return int(self.right.sum()) + len(self.missed_type)


class PredictionCollector:
    """Gathers what was predicted, post by post."""

    def __init__(self) -> None:
        self._found: list[tuple[Entity, str, int]] = []
        self._missed: list[tuple[str, int]] = []
        self._posts = 0

    def add(self, found: Sequence[Entity], gold: Collection[Entity]) -> None:
        """Take in one post: predicted entities, each once, and gold ones."""
        wanted = {(e.start, e.end, e.type) for e in gold}
        given = [(e.start, e.end, e.type) for e in found]
        number, self._posts = self._posts, self._posts + 1
        self._found += [
            (e, kind_of(span, wanted), number) for e, span in zip(found, given, strict=True)
        ]  # fmt: skip
        self._missed += [(kind, number) for _, _, kind in sorted(wanted - set(given))]

    def predictions(self) -> Predictions:
        """All that was gathered so far."""
        entities = [entity for entity, _, _ in self._found]
        sources = sorted({name for entity in entities for name in entity.sources})
        return Predictions(
            confidence=np.array([e.confidence for e in entities], np.float64),
            kind=np.array([kind for _, kind, _ in self._found], np.str_),
            type=np.array([e.type for e in entities], np.str_),
            post=np.array([number for _, _, number in self._found], np.int64),
            posts=self._posts,
            missed_type=np.array([kind for kind, _ in self._missed], np.str_),
            missed_post=np.array([number for _, number in self._missed], np.int64),
            uncertainty=_uncertainties(entities),
            share={name: np.array([_share(e, name) for e in entities]) for name in sources},
        )


def _uncertainties(entities: Sequence[Entity]) -> dict[str, Floats]:
    pairs = np.array([_pair(entity) for entity in entities]).reshape(-1, 2)
    columns = (pairs[:, 0], pairs[:, 1], pairs.sum(1))
    return {
        name: x for name, x in zip(UNCERTAINTIES, columns, strict=True) if np.isfinite(x).any()
    }  # fmt: skip


def _pair(entity: Entity) -> tuple[float, float]:
    if entity.uncertainty is None:
        return math.nan, math.nan
    return entity.uncertainty.aleatoric, entity.uncertainty.epistemic


def _share(entity: Entity, source: str) -> float:
    return entity.sources[source].share if source in entity.sources else math.nan
