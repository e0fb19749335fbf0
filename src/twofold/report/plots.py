"""Plots as plain coordinates: what a template needs to draw lines, bars and marks with axes.

Everything is computed here and nothing in the template. Colours are classes of the style sheet. The module
does not depend on what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WIDTH = 380.0
"""Width of every plot, in its own units: about the pixels of a phone."""
HEIGHT = 270.0
"""Height of every plot without rows."""
MARK_SIZE = 11.0
"""Width and height of the largest mark with its outline."""
_LETTER_WIDTH = 6.3
_LANE_HEIGHT = 13.0
_LANES = 0.8  # share of the height of a row that its lanes use


class Tick(NamedTuple):
    """A labelled value of an axis."""

    at: float
    label: str


class Bar(NamedTuple):
    """A rectangle and the class that colours it."""

    x: float
    y: float
    width: float
    height: float
    kind: str


class Line(NamedTuple):
    """A path and the class that colours it."""

    path: str
    kind: str


class Mark(NamedTuple):
    """A shape, its centre, and the class that colours it."""

    path: str
    kind: str
    x: float
    y: float


@dataclass(slots=True)
class Plot:
    """A plot of values in [0, 1] on both axes, or of rows.

    Attributes:
        label: what it shows, for screen readers.
        height: of the whole plot, in the units of `WIDTH`.
        left: edge of the plotting area. right, top, bottom: likewise.
        x_title: of the horizontal axis. y_title: of the vertical one, written above it.
        x_range: values at the left and the right edge. y_range: at the bottom and the top.
        x: ticks. y: ticks. rows: whether the vertical axis holds rows; lines separate them.
    """

    label: str
    x_title: str
    y_title: str = ""
    height: float = HEIGHT
    left: float = 40.0
    right: float = 366.0
    top: float = 26.0
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    rows: bool = False
    x: list[Tick] = field(default_factory=list)
    y: list[Tick] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    @property
    def width(self) -> float:
        """Width of the whole plot."""
        return WIDTH

    @property
    def bottom(self) -> float:
        """Lower edge of the plotting area."""
        return self.height - 40.0

    def at_x(self, value: float) -> float:
        """Coordinate of a value, clipped to the plotting area."""
        return _between(value, self.x_range, self.left, self.right)

    def at_y(self, value: float) -> float:
        """Coordinate of a value, clipped to the plotting area."""
        return _between(value, self.y_range, self.bottom, self.top)

    @property
    def grid(self) -> list[float]:
        """Heights of horizontal lines: at the ticks, or between the rows."""
        if not self.rows:
            return [tick.at for tick in self.y]
        return [self.at_y(row + 0.5) for row in range(len(self.y) - 1)]

    def tick(self, x: Iterable[float] = (), y: Iterable[float] = ()) -> None:
        """Add ticks at values in [0, 1], labelled in per cent."""
        self.x += [Tick(self.at_x(value), f"{100 * value:g}") for value in x]
        self.y += [Tick(self.at_y(value), f"{100 * value:g}") for value in y]

    def bar(self, low: float, high: float, value: float, kind: str) -> None:
        """Add a bar from the bottom to a value, between two values of the horizontal axis, with a gap."""
        x, y = self.at_x(low) + 1, self.at_y(value)
        self.bars.append(Bar(_r(x), _r(y), _r(self.at_x(high) - 1 - x), _r(self.bottom - y), kind))

    def line(self, points: Iterable[tuple[float, float]], kind: str) -> None:
        """Add a line through some points; a point that is not finite interrupts it."""
        path, pen = [], "M"
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                path.append(f"{pen}{_r(self.at_x(x))} {_r(self.at_y(y))}")
                pen = "L"
            else:
                pen = "M"
        self.lines.append(Line("".join(path), kind))

    def mark(self, x: float, y: float, shape: str, kind: str) -> None:
        """Add one of `SHAPES`, unless a value is not finite.

        Where it would cover another mark, it is drawn above or below that mark, with a line to its point.
        """
        if not (math.isfinite(x) and math.isfinite(y)):
            return
        at_x, at_y = self.at_x(x), self.at_y(y)
        free = next((height for height in _heights_around(at_y) if self._is_free(at_x, height)), at_y)
        if free != at_y:
            self.lines.append(Line(f"M{_r(at_x)} {_r(at_y)}L{_r(at_x)} {_r(free)}", "leader"))
        path = SHAPES[shape].format(x=_r(at_x), y=_r(free))
        self.marks.append(Mark(path, kind, at_x, free))

    def _is_free(self, x: float, y: float) -> bool:
        inside = self.top - MARK_SIZE / 2 <= y <= self.bottom + MARK_SIZE / 2
        return inside and all(
            abs(mark.x - x) >= MARK_SIZE or abs(mark.y - y) >= MARK_SIZE for mark in self.marks
        )

    def whisker(self, low: float, high: float, y: float, kind: str) -> None:
        """Add a horizontal line from one value to another."""
        if math.isfinite(low) and math.isfinite(high):
            self.line([(low, y), (high, y)], kind)


SHAPES = {
    "circle": "M{x} {y}m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "square": "M{x} {y}m-3.6 -3.6h7.2v7.2h-7.2z",
    "triangle": "M{x} {y}m0 -4.8l4.4 8h-8.8z",
    "point": "M{x} {y}m0 4.8l4.4 -8h-8.8z",
    "diamond": "M{x} {y}m0 -5.2l5.2 5.2l-5.2 5.2l-5.2 -5.2z",
}


def row_plot(
    label: str, x_title: str, rows: Sequence[str], lanes: int = 1, x_range: tuple[float, float] = (0, 1)
) -> Plot:
    """A plot with a row for each name; the height of row i is the value i.

    Args:
        label: what it shows. x_title: of the horizontal axis. rows: their names.
        lanes: parts of each row, so that marks of one row do not cover each other; see `lane`.
        x_range: values at the left and the right edge.
    """
    widest = max([len(name) for name in rows], default=0)
    row_height = max(26.0, lanes * _LANE_HEIGHT / _LANES)
    plot = Plot(
        label,
        x_title,
        height=14 + row_height * max(1, len(rows)) + 40,
        left=min(190.0, 14 + _LETTER_WIDTH * widest),
        top=14.0,
        y_range=(len(rows) - 0.5, -0.5),
        x_range=x_range,
        rows=True,
    )
    plot.y = [Tick(plot.at_y(i), name) for i, name in enumerate(rows)]
    return plot


def lane(row: int, number: int, lanes: int) -> float:
    """The height of a lane of a row, as a value of the vertical axis; lane 0 is the uppermost."""
    return row + (number - (lanes - 1) / 2) * _LANES / lanes


def auroc_plot(label: str, rows: Sequence[str], values: Iterable[float], lanes: int = 1) -> Plot:
    """A row plot of AUROCs: its axis begins at 0.5, or lower where a value needs it.

    Args:
        label: what it shows. rows: names of the measures. lanes: as in `row_plot`.
        values: all values that will be drawn; those that are not finite are ignored.
    """
    lowest = min([0.5, *(value for value in values if math.isfinite(value))])
    first = math.floor(lowest * 10 + 1e-9)
    plot = row_plot(label, "AUROC, %", rows, lanes, (first / 10, 1.0))
    step = 1 if first >= 5 else 2
    plot.tick(i / 10 for i in range(10, first - 1, -step))
    plot.line([(0.5, -0.5), (0.5, len(rows) - 0.5)], "edge")
    return plot


def round_steps(top: float, most: int = 4) -> list[float]:
    """Round values from 0 to at least ``top``, at most ``most`` steps of 1, 2 or 5 times 10ⁿ."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / most))
    step = next(power * m for m in (1, 2, 5, 10) if power * m * most >= top * (1 - 1e-9))
    return [i * step for i in range(math.ceil(top / step - 1e-9) + 1)]


def _heights_around(start: float) -> Iterator[float]:
    """A height and those above and below it, nearest first, in steps of a mark."""
    yield start
    for i in range(1, 50):
        yield start - i * MARK_SIZE
        yield start + i * MARK_SIZE


def _between(value: float, limits: tuple[float, float], first: float, last: float) -> float:
    low, high = limits
    part = min(max((value - low) / (high - low), 0.0), 1.0)
    return first + part * (last - first)


def _r(value: float) -> float:
    return round(value, 1)
