"""What a section of the trust page is made of: statements, plots and tables. It knows no figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twofold.evaluation.bootstrap import Interval
from twofold.report.plots import Plot
from twofold.report.statements import Statement, points

FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Where axes from 0 to 1 are labelled."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows; the first cell of a row names it.

    Attributes:
        caption: what it holds. heads: of the columns. rows: cells. folded: shown on demand.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A question, plots that answer it, and tables."""

    title: str
    words: str
    plots: tuple[Plot, ...] = ()
    key: tuple[tuple[str, str], ...] = ()  # class of a colour or shape, and what it stands for
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """All of what is told of one kind of prediction, or of foreign data; ``name`` is its anchor."""

    name: str
    title: str
    statements: tuple[Statement, ...] = ()
    blocks: tuple[Block, ...] = ()


def interval(figure: Interval) -> str:
    """With its ends in brackets, where there are any."""
    ends = f" [{points(figure.low)}–{points(figure.high)}]" if math.isfinite(figure.low) else ""
    return points(figure.value) + ends
