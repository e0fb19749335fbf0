"""Collects predictions and gold post by post as `Predictions`.

Spans are matched as in the lenient score: every gold span of the post counts once. For relations of gold
pairs, "None" is neither a prediction nor gold. Of a post only its index is kept.

Shape letters: S predictions, M modalities.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.error_types import (
    RIGHT,
    SPURIOUS,
    WRONG_RELATION,
    relation_error_type,
    span_error_type,
)
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.relations import NONE
from twofold.evaluation.triples import to_triple, with_reversed
from twofold.posts import Entity, Relation

Floats = NDArray[np.float64]

UNCERTAINTIES = ("aleatoric", "epistemic", "total")
"""``total`` is the sum of the two, the predictive variance."""


class PredictionCollector:
    """Collects predictions, post by post."""

    def __init__(self) -> None:
        self._predicted: list[tuple[Entity | Relation, str, int]] = []
        self._missed: list[tuple[str, int]] = []
        self._uncalibrated: list[float] = []
        self._posts = 0

    def add_entities(
        self, predicted: Sequence[Entity], gold: Collection[Entity], uncalibrated: Iterable[float] = ()
    ) -> None:
        """Add the entities of one post.

        Args:
            predicted: predicted entities, without duplicates. gold: gold entities.
            uncalibrated: confidences before calibration, of all predicted entities or of none.
        """
        wanted = {(e.start, e.end, e.type) for e in gold}
        spans = [(e.start, e.end, e.type) for e in predicted]
        number = self._next()
        self._predicted += [
            (e, span_error_type(span, wanted), number) for e, span in zip(predicted, spans, strict=True)
        ]
        self._missed += [(kind, number) for _, _, kind in sorted(wanted - set(spans))]
        self._uncalibrated += uncalibrated

    def add_pairs(self, predicted: Sequence[Relation], gold: Sequence[Relation]) -> None:
        """Add one post's gold pairs: the class predicted for each, and the gold class.

        A relation predicted for a pair of another relation is ``wrong_relation``, for an unrelated pair
        ``spurious``.
        """
        number = self._next()
        for found, wanted in zip(predicted, gold, strict=True):
            if found.type != NONE:
                error = SPURIOUS if wanted.type == NONE else WRONG_RELATION
                self._predicted.append((found, RIGHT if found.type == wanted.type else error, number))
            if wanted.type not in (NONE, found.type):
                self._missed.append((wanted.type, number))

    def add_triples(
        self,
        predicted: Sequence[Relation],
        gold: Sequence[Relation],
        *,
        complete: bool,
        symmetric: Collection[str] = (),
        uncalibrated: Sequence[float] = (),
    ) -> int:
        """Add the predicted relations of one post, and the annotated ones.

        Args:
            predicted: predicted relations. gold: annotated pairs, unrelated pairs as ``None``.
            complete: see `relation_error_type`.
            symmetric: relations that hold in both directions.
            uncalibrated: confidences before calibration, of all or of none.

        Returns:
            Number of predicted relations left out, since the annotation does not say whether they are right.
        """
        number, wanted = self._next(), with_reversed(map(to_triple, gold), symmetric)
        errors = [(r, relation_error_type(to_triple(r), wanted, complete=complete)) for r in predicted]
        self._predicted += [(r, error, number) for r, error in errors if error is not None]
        self._uncalibrated += [
            value for value, (_, error) in zip(uncalibrated, errors, strict=False) if error is not None
        ]
        hit = {_arguments(relation, symmetric) for relation, error in errors if error == RIGHT}
        missed = {_arguments(relation, symmetric) for relation in gold if relation.type != NONE} - hit
        self._missed += [(kind, number) for _, kind in sorted(missed)]
        return sum(error is None for _, error in errors)

    def _next(self) -> int:
        number, self._posts = self._posts, self._posts + 1
        return number

    def predictions(self) -> Predictions:
        """All predictions collected so far."""
        items = [item for item, _, _ in self._predicted]
        modalities = sorted({name for item in items for name in item.sources})
        return Predictions(
            confidence=np.array([item.confidence for item in items], np.float64),
            error_type=np.array([error for _, error, _ in self._predicted], np.str_),
            type=np.array([item.type for item in items], np.str_),
            post=np.array([number for _, _, number in self._predicted], np.int64),
            posts=self._posts,
            missed_type=np.array([kind for kind, _ in self._missed], np.str_),
            missed_post=np.array([number for _, number in self._missed], np.int64),
            uncertainty=_uncertainties(items),
            share={name: np.array([_share(item, name) for item in items]) for name in modalities},
            uncalibrated=np.array(self._uncalibrated) if len(self._uncalibrated) == len(items) else None,
        )


def _arguments(relation: Relation, symmetric: Collection[str]) -> tuple[tuple[tuple[int, int], ...], str]:
    boundaries = [(argument.start, argument.end) for argument in (relation.head, relation.tail)]
    return tuple(sorted(boundaries) if relation.type in symmetric else boundaries), relation.type


def _uncertainties(items: Sequence[Entity | Relation]) -> dict[str, Floats]:
    pairs = np.array([_uncertainty(item) for item in items]).reshape(-1, 2)
    columns = zip(UNCERTAINTIES, (pairs[:, 0], pairs[:, 1], pairs.sum(1)), strict=True)
    return {name: column for name, column in columns if np.isfinite(column).any()}


def _uncertainty(item: Entity | Relation) -> tuple[float, float]:
    if item.uncertainty is None:
        return math.nan, math.nan
    return item.uncertainty.aleatoric, item.uncertainty.epistemic


def _share(item: Entity | Relation, modality: str) -> float:
    return item.sources[modality].share if modality in item.sources else math.nan
