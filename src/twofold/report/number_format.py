"""Numbers as text for the reports: whole per cent, per cent with a decimal, numbers without a unit."""

from __future__ import annotations

import math


def whole_percent(share: float) -> str:
    """Whole per cent of a share in [0, 1]; 100 and 0 only for exactly that."""
    if not math.isfinite(share):
        return "–"
    whole = f"{100 * share:.0f}"
    if whole == "100" and share < 1:
        return ">99"
    return "<1" if whole == "0" and share > 0 else whole


def decimal_percent(share: float) -> str:
    """Per cent of a share in [0, 1] with one decimal."""
    return f"{100 * share:.1f}" if math.isfinite(share) else "–"


def short_number(value: float) -> str:
    """A number ≥ 0 without a unit, short enough for a column."""
    if value >= 1e6:
        return f"{value:.1e}"
    if value >= 10:
        return f"{value:,.1f}"
    return "<0.001" if 0 < value < 0.001 else f"{value:.3f}"


def keep_percent(text: str) -> str:
    """The text with no line break between a number and its per cent sign."""
    return text.replace(" %", "\u00a0%")
