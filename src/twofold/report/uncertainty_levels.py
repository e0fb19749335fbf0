"""Words for uncertainties, which have no unit: low, medium or high among the values on one page.

Entities and relations come from two models, whose values are not comparable: each kind is ranked separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from twofold.posts import Entity, Relation


class Levels(NamedTuple):
    """Two thresholds that split values into thirds.

    Attributes:
        low: values below it are low. high: values above it are high; all others are medium.
    """

    low: float
    high: float

    def of(self, value: float) -> str:
        """``low``, ``medium`` or ``high``."""
        if value < self.low:
            return "low"
        return "high" if value > self.high else "medium"


class UncertaintyLevels(NamedTuple):
    """Levels of both uncertainties of one kind of prediction."""

    aleatoric: Levels
    epistemic: Levels


def uncertainty_levels(items: Iterable[Entity | Relation]) -> UncertaintyLevels:
    """The levels of entities, or of relations; those without an uncertainty are left out."""
    known = [item.uncertainty for item in items if item.uncertainty is not None]
    return UncertaintyLevels(_thirds([u.aleatoric for u in known]), _thirds([u.epistemic for u in known]))


def _thirds(values: Sequence[float]) -> Levels:
    """The lowest third is low and the highest is high; with fewer than three values all are medium."""
    ranked, third = sorted(values), len(values) // 3
    return Levels(ranked[third], ranked[-third - 1]) if ranked else Levels(0.0, 0.0)
