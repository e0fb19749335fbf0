"""Calibration as blocks of the trust report: reliability diagram, metrics by type. Independent of HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from twofold.evaluation.calibration_error import Bin
from twofold.evaluation.trust_report import TrustReport
from twofold.report.number_format import decimal_percent
from twofold.report.plots import Plot, Tick, round_steps
from twofold.report.sections import FIFTHS, Block, Table

FEW = 10
"""Bars of the diagram with fewer predictions are only outlined."""


def reliability_block(report: TrustReport) -> Block:
    """The reliability diagram, with the number of predictions in each bin."""
    bins = report.reliability
    legend = [("column", "right predictions"), ("edge", "perfect calibration")]
    if any(0 < bin.predictions < FEW for bin in bins):
        legend.append(("pale", f"fewer than {FEW} predictions"))
    if report.uncalibrated is not None:
        legend.append(("before", "before calibration"))
    return Block(
        "Does the confidence match the accuracy?",
        "calibration: reliability diagram",
        "Predictions in bins of confidence. Where a bar ends below the dashed line, the model is "
        "overconfident. The second plot shows the number of predictions in each bin.",
        (_diagram(report), _histogram(bins)),
        tuple(legend),
        (_bin_table(report),),
    )


def _diagram(report: TrustReport) -> Plot:
    plot = Plot("Accuracy by confidence", "confidence, %", "right (accuracy), %")
    plot.tick(FIFTHS, FIFTHS)
    for bin in report.reliability:
        if bin.predictions:
            few = bin.predictions < FEW
            plot.bar(bin.low, bin.high, bin.accuracy, "pale" if few else "column")
            plot.whisker(bin.low, bin.high, bin.accuracy, "thin" if few else "line")
    plot.line([(0, 0), (1, 1)], "edge")
    for bin in _uncalibrated_bins(report):
        plot.whisker(bin.low, bin.high, bin.accuracy, "before")
    return plot


def _uncalibrated_bins(report: TrustReport) -> Sequence[Bin]:
    return report.uncalibrated.reliability if report.uncalibrated is not None else ()


def _histogram(bins: Sequence[Bin]) -> Plot:
    steps = round_steps(max(bin.predictions for bin in bins))
    plot = Plot("Predictions by confidence", "confidence, %", "predictions", y_range=(0, steps[-1]))
    plot.tick(FIFTHS)
    plot.y = [Tick(plot.at_y(step), f"{step:,.0f}") for step in steps]
    for bin in bins:
        plot.bar(bin.low, bin.high, bin.predictions, "count")
    return plot


def _bin_table(report: TrustReport) -> Table:
    old = _uncalibrated_bins(report)
    more = ("predictions before calibration", "right before, %") if old else ()
    rows = [
        (
            f"{100 * bin.low:.1f} to {100 * bin.high:.1f}",
            f"{bin.predictions:,}",
            f"{bin.right:,}",
            decimal_percent(bin.confidence),
            decimal_percent(bin.accuracy),
            *((f"{old[i].predictions:,}", decimal_percent(old[i].accuracy)) if old else ()),
        )
        for i, bin in enumerate(report.reliability)
    ]
    columns = ("confidence, %", "predictions", "right", "mean confidence, %", "right, %", *more)
    return Table("Bins of the diagram", columns, tuple(rows), folded=True)


_METRICS = {"adaptive_ece": "adaptive ECE", "mce": "MCE", "brier": "Brier", "nll": "NLL"}


def types_block(report: TrustReport) -> Block:
    """Metrics by type, with the missed annotations."""
    before = ("ECE before",) if report.uncalibrated is not None else ()
    columns = (
        "type", "predicted", "right", "missed", "confidence, %", "right, %", *before, "ECE", "ECE by chance",
    )  # fmt: skip
    types = tuple(_type_row(report, name) for name in report.calibration)
    more = tuple(
        (name, *(cell for metric in _METRICS for cell in _metric_cells(report, name, metric)))
        for name in report.calibration
    )
    return Block(
        "How well is each type calibrated?",
        "calibration error by type",
        "ECE is the mean distance between confidence and accuracy over 15 bins; ECE by chance is that of a "
        "perfectly calibrated model on as many predictions. Brackets hold 95 % intervals. ECE does not count "
        "missed annotations. Unfold for adaptive ECE (15 bins of equal size), MCE (the worst bin), Brier "
        "score and NLL.",
        tables=(
            Table("Calibration by type, per cent", columns, types),
            Table(
                "More metrics by type, per cent; NLL in nats",
                ("type", *_more_columns(bool(before))),
                more,
                folded=True,
            ),
        ),
    )


def _more_columns(before: bool) -> Iterator[str]:
    for title in _METRICS.values():
        if before:
            yield f"{title} before"
        yield title


def _type_row(report: TrustReport, name: str) -> tuple[str, ...]:
    now = report.calibration[name]
    counts = (f"{now.predictions:,}", f"{now.right:,}", f"{now.missed:,}")
    means = (decimal_percent(now.metrics[key].value) for key in ("confidence", "accuracy"))
    return (
        name,
        *counts,
        *means,
        *_metric_cells(report, name, "ece"),
        decimal_percent(now.ece_if_calibrated),
    )


def _metric_cells(report: TrustReport, name: str, metric: str) -> tuple[str, ...]:
    """A metric before calibration, where known, and after calibration with its interval."""
    now = report.calibration[name].metrics[metric]
    interval = f" [{_cell(metric, now.low)}–{_cell(metric, now.high)}]" if math.isfinite(now.low) else ""
    calibrated = _cell(metric, now.value) + interval
    if report.uncalibrated is None:
        return (calibrated,)
    return _cell(metric, report.uncalibrated.calibration[name].metrics[metric].value), calibrated


def _cell(metric: str, value: float) -> str:
    if metric != "nll":
        return decimal_percent(value)
    return f"{value:.3f}" if math.isfinite(value) else "–"
