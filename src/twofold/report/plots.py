"""Plots as plain coordinates: what a template needs to draw lines, bars and marks with axes.

Everything is computed here and nothing in the template. Colours are classes of the style sheet. It does not
know what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WIDTH = 380.0
"""Of every plot, in its own units: about a phone's pixels."""
_CHARACTER = 6.3  # mean width of a letter of the labels


class Tick(NamedTuple):
    """A labelled place of an axis."""

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
    """A shape round a place and the class that colours it."""

    path: str
    kind: str


@dataclass(slots=True)
class Plot:
    """A plot of values in [0, 1] on both axes, or of rows.

    Attributes:
        label: what it shows, for those who do not see it.
        height: of the whole, in the units of `WIDTH`.
        left: edge of the field. right, top, bottom: likewise.
        x_title: of the horizontal axis. y_title: of the vertical one, written above it.
        x_range: values at the left and the right edge. y_range: at the bottom and the top.
        x: ticks. y: ticks. rows: whether the vertical axis holds rows, whose lines are dotted.
    """

    label: str
    x_title: str
    y_title: str = ""
    height: float = 270.0
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
        """Of the whole."""
        return WIDTH

    @property
    def bottom(self) -> float:
        """Lower edge of the field."""
        return self.height - 40.0

    def at_x(self, value: float) -> float:
        """Where a value is, kept within the field."""
        return _between(value, self.x_range, self.left, self.right)

    def at_y(self, value: float) -> float:
        """Where a value is, kept within the field."""
        return _between(value, self.y_range, self.bottom, self.top)

    def tick(self, x: Iterable[float] = (), y: Iterable[float] = ()) -> None:
        """Label values in [0, 1] in per cent."""
        self.x += [Tick(self.at_x(value), f"{100 * value:g}") for value in x]
        self.y += [Tick(self.at_y(value), f"{100 * value:g}") for value in y]

    def bar(self, low: float, high: float, value: float, kind: str) -> None:
        """From the bottom to a value, between two places of the horizontal axis, a little apart."""
        x, y = self.at_x(low) + 1, self.at_y(value)
        self.bars.append(Bar(_r(x), _r(y), _r(self.at_x(high) - 1 - x), _r(self.bottom - y), kind))

    def line(self, points: Iterable[tuple[float, float]], kind: str) -> None:
        """Through some points; one that is not finite breaks it."""
        path, pen = [], "M"
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                path.append(f"{pen}{_r(self.at_x(x))} {_r(self.at_y(y))}")
                pen = "L"
            else:
                pen = "M"
        self.lines.append(Line("".join(path), kind))

    def mark(self, x: float, y: float, shape: str, kind: str) -> None:
        """One of `SHAPES`; none where the value is not finite."""
        if math.isfinite(x) and math.isfinite(y):
            path = SHAPES[shape].format(x=_r(self.at_x(x)), y=_r(self.at_y(y)))
            self.marks.append(Mark(path, kind))

    def whisker(self, low: float, high: float, y: float, kind: str) -> None:
        """From one value to another at one height."""
        if math.isfinite(low) and math.isfinite(high):
            self.line([(low, y), (high, y)], kind)


SHAPES = {
    "circle": "M{x} {y}m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "square": "M{x} {y}m-3.6 -3.6h7.2v7.2h-7.2z",
    "triangle": "M{x} {y}m0 -4.8l4.4 8h-8.8z",
    "point": "M{x} {y}m0 4.8l4.4 -8h-8.8z",
    "diamond": "M{x} {y}m0 -5.2l5.2 5.2l-5.2 5.2l-5.2 -5.2z",
}


def row_plot(label: str, x_title: str, rows: Sequence[str], x_range: tuple[float, float] = (0, 1)) -> Plot:
    """A plot with a row for each name; the height of row i is the value i."""
    widest = max([len(name) for name in rows], default=0)
    plot = Plot(
        label,
        x_title,
        height=14 + 26.0 * max(1, len(rows)) + 40,
        left=min(190.0, 14 + _CHARACTER * widest),
        top=14.0,
        y_range=(len(rows) - 0.5, -0.5),
        x_range=x_range,
        rows=True,
    )
    plot.y = [Tick(plot.at_y(i), name) for i, name in enumerate(rows)]
    return plot


def round_steps(top: float, most: int = 4) -> list[float]:
    """Round values from 0 to at least ``top``, at most ``most`` steps of 1, 2 or 5 times 10ⁿ."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / most))
    step = next(power * m for m in (1, 2, 5, 10) if power * m * most >= top * (1 - 1e-9))
    return [i * step for i in range(math.ceil(top / step - 1e-9) + 1)]


def _between(value: float, ends: tuple[float, float], first: float, last: float) -> float:
    low, high = ends
    part = min(max((value - low) / (high - low), 0.0), 1.0)
    return first + part * (last - first)


def _r(value: float) -> float:
    return round(value, 1)
