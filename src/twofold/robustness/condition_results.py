"""What a model said of posts under one condition of their pictures, as arrays, gathered post by post.

Two ways to look at uncertainty. ``found``: of what was predicted under the condition, as a user sees it;
what is predicted may be something else than with the post's own picture. ``asked``: of the same question each
time; for entities, of those found with the own picture, judged again; for relations, of every given pair. The
picture's share and its own uncertainty are those of the same questions.

It does not know models or pictures. Shape letters: N posts.
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

PICTURE_SOURCES = ("picture", "whole", "crops", "objects", "ocr")
"""Sources that come from a picture."""
SPREADS = ("aleatoric", "epistemic", "total")
"""Uncertainties; ``total`` is the sum of the two."""
MEASURES = ("confidence", *SPREADS)


@dataclass(frozen=True, slots=True)
class Stand:
    """N posts under one condition.

    Attributes:
        status: (N,) what became of the picture.
        counts: (3, N) right, predicted, gold; every gold span counts.
        strict: (3, N) likewise with well-formed gold only; None for relations.
        overlap: (3, N) predictions made with the own picture and here, with the own one only, here only.
        found: (N,) by measure, mean over what was predicted in a post; nan where there is nothing.
        asked: (N,) by measure, mean over the same questions.
        share: (N,) part of the evidence that came from the picture; 0 where it took no part, nan where
            nothing was asked or the model has no evidence.
        picture: (N,) by uncertainty, that of the picture's own distribution; nan where it took no part.
    """

    status: NDArray[np.str_]
    counts: Counts
    strict: Counts | None
    overlap: Counts
    found: Mapping[str, Floats]
    asked: Mapping[str, Floats]
    share: Floats
    picture: Mapping[str, Floats]


class StandCollector:
    """Gathers posts of one condition."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def add(
        self,
        gold: Mapping[Hashable, bool],
        own: Collection[Hashable],
        found: Mapping[Hashable, Item],
        asked: Sequence[Item],
        status: PictureStatus,
    ) -> None:
        """Take in one post.

        Args:
            gold: what is right, and whether it is well formed.
            own: what was predicted with the own picture.
            found: what was predicted here.
            asked: what is said here of the same questions.
            status: what became of the picture.
        """
        here, before = set(found), set(own)
        strict = {key for key, well_formed in gold.items() if well_formed}
        self._rows.append(
            _Row(
                status,
                (len(here & gold.keys()), len(here), len(gold)),
                (len(here & strict), len(here), len(strict)),
                (len(here & before), len(before - here), len(here - before)),
                _means(list(found.values())),
                _means(asked),
                _mean([_share(item) for item in asked if item.sources]),
                _pictured(asked),
            )
        )

    def stand(self, strict: bool = True) -> Stand:
        """All that was gathered; ``strict`` whether being well formed means anything."""
        rows = self._rows
        return Stand(
            np.array([row.status for row in rows], np.str_),
            _columns([row.counts for row in rows]),
            _columns([row.strict for row in rows]) if strict else None,
            _columns([row.overlap for row in rows]),
            _by_name(MEASURES, [row.found for row in rows]),
            _by_name(MEASURES, [row.asked for row in rows]),
            np.array([row.share for row in rows], np.float64),
            _by_name(SPREADS, [row.picture for row in rows]),
        )


@dataclass(frozen=True, slots=True)
class _Row:
    status: PictureStatus
    counts: tuple[int, int, int]
    strict: tuple[int, int, int]
    overlap: tuple[int, int, int]
    found: tuple[float, ...]
    asked: tuple[float, ...]
    share: float
    picture: tuple[float, ...]


def _columns(rows: Sequence[tuple[int, int, int]]) -> Counts:
    return np.array(rows, np.int64).reshape(-1, 3).T


def _by_name(names: Sequence[str], rows: Sequence[tuple[float, ...]]) -> dict[str, Floats]:
    columns = np.array(rows, np.float64).reshape(-1, len(names)).T
    return dict(zip(names, columns, strict=True))


def _means(items: Sequence[Item]) -> tuple[float, ...]:
    """Mean of each of `MEASURES`; nan of those that nothing has."""
    sure = _mean([item.confidence for item in items if item.confidence is not None])
    return sure, *_spreads([item.uncertainty for item in items if item.uncertainty is not None])


def _spreads(parts: Sequence[Uncertainty | SourceEvidence]) -> tuple[float, float, float]:
    aleatoric, epistemic = _mean([p.aleatoric for p in parts]), _mean([p.epistemic for p in parts])
    return aleatoric, epistemic, aleatoric + epistemic


def _pictured(items: Sequence[Item]) -> tuple[float, ...]:
    return _spreads(
        [item.sources[name] for item in items for name in PICTURE_SOURCES if name in item.sources]
    )


def _share(item: Item) -> float:
    """Part of all sources that come from the picture."""
    return sum(item.sources[name].share for name in PICTURE_SOURCES if name in item.sources)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
