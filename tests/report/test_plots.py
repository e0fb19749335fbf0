"""Plots as coordinates, against values computed by hand."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from twofold.report.plots import MARK_SIZE, Plot, auroc_plot, lane, round_steps, row_plot


def test_coordinates_by_hand() -> None:
    plot = Plot("p", "x", left=0.0, right=100.0, top=0.0, height=140.0)
    assert [plot.at_x(v) for v in (0, 0.5, 1, 2)] == [0, 50, 100, 100]
    assert [plot.at_y(v) for v in (0, 0.5, 1)] == [100, 50, 0]
    plot.line([(0, 0), (0.5, math.nan), (1, 1)], "line")
    assert plot.lines[0].path == "M0.0 100.0M100.0 0.0"
    plot.bar(0.0, 0.5, 0.25, "column")
    assert plot.bars[0][:4] == (1, 75, 48, 25)
    plot.mark(math.nan, 0.5, "circle", "mark")
    assert plot.marks == []


def test_marks_at_one_point_are_drawn_apart_with_a_line_to_it() -> None:
    plot = Plot("p", "x", left=0.0, right=100.0, top=0.0, height=140.0)
    for shape in ("circle", "square", "triangle", "diamond"):
        plot.mark(0.5, 0.5, shape, "open")
    heights = sorted(mark.y for mark in plot.marks)
    assert heights == [50 - 2 * MARK_SIZE, 50 - MARK_SIZE, 50, 50 + MARK_SIZE]
    coordinates = [re.findall(r"[\d.]+", line.path) for line in plot.lines]
    assert [line.kind for line in plot.lines] == ["leader"] * 3
    assert [four[:2] for four in coordinates] == [["50.0", "50.0"]] * 3


def test_marks_that_do_not_touch_stay_where_they_are() -> None:
    plot = Plot("p", "x", left=0.0, right=100.0, top=0.0, height=140.0)
    plot.mark(0.2, 0.5, "circle", "open")
    plot.mark(0.2 + MARK_SIZE / 100, 0.5, "circle", "open")
    assert [mark.y for mark in plot.marks] == [50, 50]
    assert plot.lines == []


def test_more_marks_than_fit() -> None:
    plot = Plot("p", "x", left=0.0, right=100.0, top=0.0, height=80.0)
    for _ in range(200):
        plot.mark(0.5, 0.5, "circle", "open")
    assert len(plot.marks) == 200


def test_rows_are_apart_and_in_order() -> None:
    plot = row_plot("p", "x", ["a", "b", "c"])
    assert [tick.label for tick in plot.y] == ["a", "b", "c"]
    first, second, third = (tick.at for tick in plot.y)
    assert second - first == third - second == 26
    assert plot.grid == [(first + second) / 2, (second + third) / 2]


@pytest.mark.parametrize("lanes", [1, 2, 5, 7])
def test_lanes_of_a_row_leave_room_for_a_mark_each(lanes: int) -> None:
    plot = row_plot("p", "x", ["a", "b"], lanes)
    heights = [plot.at_y(lane(row, i, lanes)) for row in range(2) for i in range(lanes)]
    assert min((b - a for a, b in itertools.pairwise(heights)), default=99) >= MARK_SIZE
    assert all(heights[i] < plot.grid[0] for i in range(lanes))


@pytest.mark.parametrize(
    ("values", "start"),
    [([], 0.5), ([0.5, 0.9], 0.5), ([0.499], 0.4), ([0.4], 0.4), ([0.05, math.nan], 0.0), ([math.nan], 0.5)],
)
def test_the_axis_of_auroc(values: list[float], start: float) -> None:
    plot = auroc_plot("p", ["a"], values)
    assert plot.x_range == (start, 1.0)
    labels = [float(tick.label) for tick in plot.x]
    assert max(labels) == 100
    assert all(label >= 100 * start for label in labels)


@pytest.mark.parametrize("top", [0.0, 0.03, 0.12, 1.0, 7.0, 685.0, 100_000.0])
def test_steps_are_few_and_round_and_reach_the_top(top: float) -> None:
    steps = round_steps(top)
    assert 2 <= len(steps) <= 5
    assert steps[0] == 0
    assert steps[-1] >= top * (1 - 1e-9)
    assert f"{steps[1]:e}"[0] in "125"
