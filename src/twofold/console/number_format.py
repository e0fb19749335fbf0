"""How commands print metrics: in per cent, alone or with their interval."""

from __future__ import annotations

import math

from twofold.evaluation.bootstrap import Interval


def percent(value: float) -> str:
    """A metric in [0, 1] in per cent with one decimal; a dash where it is undefined."""
    return f"{100 * value:.1f}" if math.isfinite(value) else "–"


def percent_interval(metric: Interval, width: int = 5) -> str:
    """A metric in per cent with its interval; the value fills at least ``width`` columns."""
    return f"{percent(metric.value):>{width}} [{percent(metric.low)}–{percent(metric.high)}]"
