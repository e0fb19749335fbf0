"""Bootstrap intervals that draw posts, not predictions.

What is predicted in one post stands or falls together (one text, one picture, one misreading), so posts
are drawn with replacement and their predictions with them (cluster bootstrap, Davison & Hinkley 1997,
§3.8). A statistic sees a draw as weights: how often the post of each prediction came.

It does not know what is measured. Two methods on the same posts are compared in `paired`.

Shape letters: S predictions, P posts, R draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.paired_bootstrap import draws as draw_posts

Floats = NDArray[np.float64]
Statistics = Callable[[Floats], Mapping[str, float]]
"""Figures by name, from the weight of each post (P,), whole numbers from 0 whose sum is P."""

DRAWS, LEVEL = 1000, 0.95


class Interval(NamedTuple):
    """A figure and how far it can be trusted.

    Attributes:
        value: as measured.
        low: lower end. high: upper end. Both nan where too little was there to draw from.
    """

    value: float
    low: float
    high: float


def draw_figures(
    statistics: Statistics, posts: int, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Floats]:
    """Each figure on R draws of posts, (R,); nan where a draw holds nothing to measure.

    Args:
        statistics: see `Statistics`.
        posts: P, those without predictions included.
        draws: R.
        seed: of the draws; equal seeds draw equal posts.
    """
    weights = (w for group in draw_posts(posts, draws, seed) for w in group) if posts else ()
    rows = [statistics(w) for w in weights]
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def percentile_interval(value: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """The middle of what was drawn: for figures that more data leaves where they are."""
    return Interval(value, *_quantiles(drawn, level))


def reflected_interval(value: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """What was drawn, mirrored at the value and kept within 0 and 1: for expected calibration errors.

    A calibration error is a sum of absolute gaps, noise included: too large on any sample, and larger
    still on draws from it. The percentile interval would shift that way twice; mirrored, part of the shift is
    taken back (the basic bootstrap, Davison & Hinkley 1997, §5.2). Where the true error is next to
    nothing the interval is still too high: compare the value with `calibration_error_by_chance`.
    """
    low, high = _quantiles(drawn, level)
    mirrored = np.clip([2 * value - high, max(value, 2 * value - low)], 0.0, 1.0)  # nan stays nan
    return Interval(value, float(mirrored[0]), float(mirrored[1]))


def _quantiles(drawn: Floats, level: float) -> tuple[float, float]:
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
