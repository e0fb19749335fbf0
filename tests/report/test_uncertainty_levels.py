"""Low, medium and high: thirds of the values, by their ranks."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.posts import Entity, Uncertainty
from twofold.report.uncertainty_levels import uncertainty_levels


def entities(values: list[float]) -> list[Entity]:
    return [Entity(0, 1, "a", "PER", 0.9, Uncertainty(value, 2 * value)) for value in values]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 31])
def test_a_third_is_low_and_a_third_is_high(n: int) -> None:
    values = list(np.random.default_rng(n).permutation(n) * 0.1)
    levels = uncertainty_levels(entities(values))
    for measure, scale in ((levels.aleatoric, 1), (levels.epistemic, 2)):
        words = [measure.of(scale * value) for value in sorted(values)]
        third = n // 3
        assert words == ["low"] * third + ["medium"] * (n - 2 * third) + ["high"] * third


def test_equal_values_are_medium() -> None:
    assert uncertainty_levels(entities([0.3] * 9)).aleatoric.of(0.3) == "medium"


def test_levels_without_any_value() -> None:
    assert uncertainty_levels([Entity(0, 1, "a", "PER")]).epistemic == (0.0, 0.0)
