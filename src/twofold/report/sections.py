"""Parts of the trust report: sections of statements, plots and tables. It does not depend on metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twofold.evaluation.bootstrap import Interval
from twofold.report.number_format import decimal_percent
from twofold.report.plots import Plot
from twofold.report.statements import Statement

FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Ticks of axes from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Table:
    """Metrics in rows; the first cell of a row names it.

    Attributes:
        caption: what it shows. columns: their names. rows: cells. folded: shown on demand.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One question with the plots and tables that answer it.

    Attributes:
        title: the question. term: the technical term; may be empty.
        explanation: how to read the plots and tables.
        plots: side by side, of one height.
        legend: class of a colour or shape, and what it stands for.
        tables: below the plots.
    """

    title: str
    term: str
    explanation: str
    plots: tuple[Plot, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """All results on one kind of prediction, or on out-of-distribution data.

    Attributes:
        anchor: its ID in the page. title: its heading.
        statements: the key metrics in words. blocks: questions, plots and tables.
    """

    anchor: str
    title: str
    statements: tuple[Statement, ...] = ()
    blocks: tuple[Block, ...] = ()


def with_interval(metric: Interval) -> str:
    """A metric in per cent, with its interval in brackets where it has one."""
    low, high = decimal_percent(metric.low), decimal_percent(metric.high)
    interval = f" [{low}–{high}]" if math.isfinite(metric.low) else ""
    return decimal_percent(metric.value) + interval
