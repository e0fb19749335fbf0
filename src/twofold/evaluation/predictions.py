"""Predictions as arrays, gathered post by post: what all figures of trust are computed from.

Spans are compared as the lenient count does: gold is every gold span of the post, each once. Of relations
between given pairs, "None" is no prediction and no gold. Of a post it keeps nothing but its number.

Shape letters: S predictions, G missed gold items, P posts, M sources.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.error_types import RIGHT, SPURIOUS, WRONG_RELATION, kind_of, kind_of_triple
from twofold.evaluation.relations import NONE
from twofold.evaluation.triples import either_way, triple_of
from twofold.posts import Entity, Relation

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
        before: (S,) confidence before calibration; None where it was not told of all.
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
    before: Floats | None = None

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
        self._found: list[tuple[Entity | Relation, str, int]] = []
        self._missed: list[tuple[str, int]] = []
        self._before: list[float] = []
        self._posts = 0

    def add(self, found: Sequence[Entity], gold: Collection[Entity], before: Iterable[float] = ()) -> None:
        """Take in one post: predicted entities, each once, and gold ones.

        ``before`` are confidences of the entities before calibration, of all or of none.
        """
        wanted = {(e.start, e.end, e.type) for e in gold}
        given = [(e.start, e.end, e.type) for e in found]
        number = self._next()
        self._found += [
            (e, kind_of(span, wanted), number) for e, span in zip(found, given, strict=True)
        ]  # fmt: skip
        self._missed += [(kind, number) for _, _, kind in sorted(wanted - set(given))]
        self._before += before

    def add_pairs(self, found: Sequence[Relation], gold: Sequence[Relation]) -> None:
        """Take in one post's given pairs: what each is taken for, and what it is.

        A relation found where there is another is the wrong one, where there is none spurious.
        """
        number = self._next()
        for said, known in zip(found, gold, strict=True):
            if said.type != NONE:
                mistake = SPURIOUS if known.type == NONE else WRONG_RELATION
                self._found.append((said, RIGHT if said.type == known.type else mistake, number))
            if known.type not in (NONE, said.type):
                self._missed.append((known.type, number))

    def add_triples(
        self,
        found: Sequence[Relation],
        gold: Sequence[Relation],
        *,
        complete: bool,
        symmetric: Collection[str] = (),
        before: Sequence[float] = (),
    ) -> int:
        """Take in one post's relations, those told and the annotated ones.

        Args:
            found: relations told. gold: annotated pairs, those in no relation as ``None``.
            complete: see `kind_of_triple`.
            symmetric: relations that hold both ways.
            before: confidences before calibration, of all or of none.

        Returns:
            How many of those told cannot be judged and are left out.
        """
        number, wanted = self._next(), either_way(map(triple_of, gold), symmetric)
        judged = [(said, kind_of_triple(triple_of(said), wanted, complete=complete)) for said in found]
        self._found += [(said, kind, number) for said, kind in judged if kind is not None]
        self._before += [value for value, (_, kind) in zip(before, judged, strict=False) if kind is not None]
        hit = {_by_places(said, symmetric) for said, kind in judged if kind == RIGHT}
        missed = {_by_places(relation, symmetric) for relation in gold if relation.type != NONE} - hit
        self._missed += [(kind, number) for _, kind in sorted(missed)]
        return sum(kind is None for _, kind in judged)

    def _next(self) -> int:
        number, self._posts = self._posts, self._posts + 1
        return number

    def predictions(self) -> Predictions:
        """All that was gathered so far."""
        items = [item for item, _, _ in self._found]
        sources = sorted({name for item in items for name in item.sources})
        return Predictions(
            confidence=np.array([item.confidence for item in items], np.float64),
            kind=np.array([kind for _, kind, _ in self._found], np.str_),
            type=np.array([item.type for item in items], np.str_),
            post=np.array([number for _, _, number in self._found], np.int64),
            posts=self._posts,
            missed_type=np.array([kind for kind, _ in self._missed], np.str_),
            missed_post=np.array([number for _, number in self._missed], np.int64),
            uncertainty=_uncertainties(items),
            share={name: np.array([_share(item, name) for item in items]) for name in sources},
            before=np.array(self._before) if len(self._before) == len(items) else None,
        )


def _by_places(relation: Relation, symmetric: Collection[str]) -> tuple[tuple[tuple[int, int], ...], str]:
    ends = [(end.start, end.end) for end in (relation.head, relation.tail)]
    return tuple(sorted(ends) if relation.type in symmetric else ends), relation.type


def _uncertainties(items: Sequence[Entity | Relation]) -> dict[str, Floats]:
    pairs = np.array([_pair(item) for item in items]).reshape(-1, 2)
    columns = (pairs[:, 0], pairs[:, 1], pairs.sum(1))
    return {
        name: x for name, x in zip(UNCERTAINTIES, columns, strict=True) if np.isfinite(x).any()
    }  # fmt: skip


def _pair(item: Entity | Relation) -> tuple[float, float]:
    if item.uncertainty is None:
        return math.nan, math.nan
    return item.uncertainty.aleatoric, item.uncertainty.epistemic


def _share(item: Entity | Relation, source: str) -> float:
    return item.sources[source].share if source in item.sources else math.nan
