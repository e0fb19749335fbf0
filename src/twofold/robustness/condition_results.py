"""Predictions for posts under one condition of their pictures, as arrays, collected post by post.

Uncertainty is measured on two sets of items. ``predicted``: what the model predicts under the condition, as a
user sees it, which may differ from the predictions with the original picture. ``same_items``: the same items
under every condition; for entities, those predicted with the original picture, scored again; for relations,
every gold pair. The picture's share and the uncertainty of its own distribution are those of the same items.

This module does not know models or pictures. Shape letters: N posts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.posts import Entity, PictureStatus, Relation, SourceEvidence, Uncertainty

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Item = Entity | Relation

CONDITIONS = ("original", "mismatched", "blank", "missing", "corrupt", "text_only")
ORIGINAL, MISMATCHED, BLANK, MISSING, CORRUPT, TEXT_ONLY = CONDITIONS
"""Names of conditions; those of perturbations are in `perturbations`."""
PICTURE_MODALITIES = ("picture", "whole", "crops", "objects", "ocr")
"""Modalities that come from the picture."""
UNCERTAINTIES = ("aleatoric", "epistemic", "total")
"""Uncertainties; ``total`` is the sum of the two."""
MEASURES = ("confidence", *UNCERTAINTIES)


@dataclass(frozen=True, slots=True)
class ConditionResults:
    """N posts under one condition.

    Attributes:
        status: (N,) status of the picture.
        counts: (3, N) correct, predicted, gold; every gold span counts.
        strict: (3, N) likewise with well-formed gold only; None for relations.
        overlap: (3, N) number of predictions under both the original picture and the condition, under the
            original picture only, under the condition only.
        predicted: (N,) by measure, mean over the predictions of a post; nan where there are none.
        same_items: (N,) by measure, mean over the same items.
        share: (N,) share of the picture in the score; 0 where it was not used, nan where there are no items
            or the model has no evidence.
        picture: (N,) by uncertainty, that of the picture's own distribution; nan where it was not used.
    """

    status: NDArray[np.str_]
    counts: Counts
    strict: Counts | None
    overlap: Counts
    predicted: Mapping[str, Floats]
    same_items: Mapping[str, Floats]
    share: Floats
    picture: Mapping[str, Floats]


class ConditionCollector:
    """Collects posts of one condition."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def add(
        self,
        gold: Mapping[Hashable, bool],
        original: Collection[Hashable],
        predicted: Mapping[Hashable, Item],
        same_items: Sequence[Item],
        status: PictureStatus,
    ) -> None:
        """Add one post.

        Args:
            gold: gold items, and whether each is well formed.
            original: items predicted with the original picture.
            predicted: items predicted under the condition.
            same_items: the same items, with their confidence and uncertainty under the condition.
            status: status of the picture.
        """
        here, before = set(predicted), set(original)
        strict = {key for key, well_formed in gold.items() if well_formed}
        self._rows.append(
            _Row(
                status,
                (len(here & gold.keys()), len(here), len(gold)),
                (len(here & strict), len(here), len(strict)),
                (len(here & before), len(before - here), len(here - before)),
                _means(list(predicted.values())),
                _means(same_items),
                _mean([_share(item) for item in same_items if item.sources]),
                _picture_uncertainty(same_items),
            )
        )

    def results(self, strict: bool = True) -> ConditionResults:
        """Everything collected so far; ``strict``: whether to count well-formed gold separately, too."""
        rows = self._rows
        return ConditionResults(
            np.array([row.status for row in rows], np.str_),
            _columns([row.counts for row in rows]),
            _columns([row.strict for row in rows]) if strict else None,
            _columns([row.overlap for row in rows]),
            _by_name(MEASURES, [row.predicted for row in rows]),
            _by_name(MEASURES, [row.same_items for row in rows]),
            np.array([row.share for row in rows], np.float64),
            _by_name(UNCERTAINTIES, [row.picture for row in rows]),
        )


@dataclass(frozen=True, slots=True)
class _Row:
    status: PictureStatus
    counts: tuple[int, int, int]
    strict: tuple[int, int, int]
    overlap: tuple[int, int, int]
    predicted: tuple[float, ...]
    same_items: tuple[float, ...]
    share: float
    picture: tuple[float, ...]


def _columns(rows: Sequence[tuple[int, int, int]]) -> Counts:
    return np.array(rows, np.int64).reshape(-1, 3).T


def _by_name(names: Sequence[str], rows: Sequence[tuple[float, ...]]) -> dict[str, Floats]:
    columns = np.array(rows, np.float64).reshape(-1, len(names)).T
    return dict(zip(names, columns, strict=True))


def _means(items: Sequence[Item]) -> tuple[float, ...]:
    """Mean of each of `MEASURES`; nan where no item has it."""
    mean = _mean([item.confidence for item in items if item.confidence is not None])
    return mean, *_uncertainty_means([item.uncertainty for item in items if item.uncertainty is not None])


def _uncertainty_means(parts: Sequence[Uncertainty | SourceEvidence]) -> tuple[float, float, float]:
    aleatoric, epistemic = _mean([p.aleatoric for p in parts]), _mean([p.epistemic for p in parts])
    return aleatoric, epistemic, aleatoric + epistemic


def _picture_uncertainty(items: Sequence[Item]) -> tuple[float, ...]:
    return _uncertainty_means(
        [item.sources[name] for item in items for name in PICTURE_MODALITIES if name in item.sources]
    )


def _share(item: Item) -> float:
    """Share of all modalities that come from the picture."""
    return sum(item.sources[name].share for name in PICTURE_MODALITIES if name in item.sources)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
