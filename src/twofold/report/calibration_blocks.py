"""Calibration as blocks of the trust page: reliability diagram, figures by type. It does not know HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from twofold.evaluation.calibration_error import Bin
from twofold.evaluation.trust_report import TrustReport
from twofold.report.plots import Plot, Tick, round_steps
from twofold.report.sections import FIFTHS, Block, Table
from twofold.report.statements import points

FEW = 10
"""A bar of the diagram that rests on fewer predictions is pale."""


def reliability_block(report: TrustReport) -> Block:
    """The reliability diagram, with how many predictions each bar rests on."""
    bars = report.reliability
    key = [("column", "part that is right"), ("edge", "what it should be: the confidence itself")]
    if any(0 < bar.predictions < FEW for bar in bars):
        key.append(("pale", f"fewer than {FEW} predictions: luck"))
    if report.uncalibrated is not None:
        key.append(("before", "before calibration"))
    return Block(
        "Does the confidence mean what it says?",
        "Predictions in steps of confidence. A bar below the broken line: the model was too sure. Below, how "
        "many predictions each step holds.",
        (_diagram(report), _histogram(bars)),
        tuple(key),
        (_bins(report),),
    )


def _diagram(report: TrustReport) -> Plot:
    plot = Plot("Part of the predictions that is right, by confidence", "confidence, %", "right, %")
    plot.tick(FIFTHS, FIFTHS)
    for bar in report.reliability:
        if bar.predictions:
            few = bar.predictions < FEW
            plot.bar(bar.low, bar.high, bar.accuracy, "pale" if few else "column")
            plot.whisker(bar.low, bar.high, bar.accuracy, "thin" if few else "line")
    plot.line([(0, 0), (1, 1)], "edge")
    for bar in report.uncalibrated.reliability if report.uncalibrated is not None else ():
        plot.whisker(bar.low, bar.high, bar.accuracy, "before")
    return plot


def _histogram(bars: Sequence[Bin]) -> Plot:
    steps = round_steps(max(bar.predictions for bar in bars), 3)
    plot = Plot(
        "Number of predictions, by confidence",
        "confidence, %",
        "predictions",
        height=150.0,
        y_range=(0, steps[-1]),
    )
    plot.tick(FIFTHS)
    plot.y = [Tick(plot.at_y(step), f"{step:,.0f}") for step in steps]
    for bar in bars:
        plot.bar(bar.low, bar.high, bar.predictions, "count")
    return plot


def _bins(report: TrustReport) -> Table:
    old = report.uncalibrated.reliability if report.uncalibrated is not None else ()
    more = ("before: predictions", "before: right, %") if old else ()
    rows = [
        (
            f"{100 * bar.low:.1f} to {100 * bar.high:.1f}",
            f"{bar.predictions:,}",
            f"{bar.right:,}",
            points(bar.confidence),
            points(bar.accuracy),
            *((f"{old[i].predictions:,}", points(old[i].accuracy)) if old else ()),
        )
        for i, bar in enumerate(report.reliability)
    ]
    heads = ("confidence, %", "predictions", "right", "mean confidence, %", "right, %", *more)
    return Table("Figures of the diagram", heads, tuple(rows), folded=True)


_CALIBRATION = {"adaptive_ece": "adaptive ECE", "mce": "MCE", "brier": "Brier", "nll": "NLL"}


def types_block(report: TrustReport) -> Block:
    """Figures by type, with what was missed."""
    before = ("ECE before",) if report.uncalibrated is not None else ()
    heads = (
        "type",
        "found",
        "right",
        "missed gold",
        "confidence, %",
        "right, %",
        *before,
        "ECE",
        "ECE by luck",
    )
    more = [
        name
        for title in _CALIBRATION.values()
        for name in ((f"{title} before", title) if before else (title,))
    ]
    return Block(
        "By type",
        "ECE is the mean distance between confidence and truth, over 15 steps of confidence. It is of what "
        "was "
        "found: a type of which much is missed may look well calibrated and still be of little use. By luck: "
        "what "
        "perfect confidences would show. In brackets what other posts like these would give, 95 times in "
        "100. "
        "Folded: adaptive ECE, over 15 groups of one size; MCE, the worst step; Brier and NLL also reward "
        "being "
        "decided.",
        tables=(
            Table(
                "Calibration by type, per cent",
                heads,
                tuple(_type_row(report, t) for t in report.calibration),
            ),
            Table(
                "More figures by type, per cent; NLL in nats",
                ("type", *more),
                tuple(_more_row(report, t) for t in report.calibration),
                folded=True,
            ),
        ),
    )


def _type_row(report: TrustReport, kind: str) -> tuple[str, ...]:
    now = report.calibration[kind]
    counts = (f"{now.predictions:,}", f"{now.right:,}", f"{now.missed:,}")
    means = (points(now.metrics[key].value) for key in ("confidence", "accuracy"))
    return (kind, *counts, *means, *_changed(report, kind, "ece"), points(now.ece_if_calibrated))


def _more_row(report: TrustReport, kind: str) -> tuple[str, ...]:
    return (kind, *(cell for name in _CALIBRATION for cell in _changed(report, kind, name)))


def _changed(report: TrustReport, kind: str, name: str) -> tuple[str, ...]:
    """A figure before calibration, where that is known, and now with its interval."""
    now = report.calibration[kind].metrics[name]
    ends = f" [{_figure(name, now.low)}–{_figure(name, now.high)}]" if math.isfinite(now.low) else ""
    told = _figure(name, now.value) + ends
    if report.uncalibrated is None:
        return (told,)
    return _figure(name, report.uncalibrated.calibration[kind].metrics[name].value), told


def _figure(name: str, value: float) -> str:
    if name != "nll":
        return points(value)
    return f"{value:.3f}" if math.isfinite(value) else "–"
