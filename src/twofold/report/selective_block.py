"""Selective prediction as a block of the trust report: metrics above each confidence threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from twofold.evaluation.trust_report import TrustReport
from twofold.report.number_format import decimal_percent
from twofold.report.plots import Plot, round_steps
from twofold.report.sections import FIFTHS, Block, Table, with_interval

_METRICS = {
    "aurc": "mean error rate over all thresholds (AURC)",
    "excess_aurc": "AURC above the best possible ranking (excess AURC)",
    "augrc": "kept and wrong, mean over all thresholds (AUGRC)",
    "risk_at_80_coverage": "error rate when 80 % are kept",
    "coverage_at_5_risk": "kept when at most 5 % of those are wrong",
    "coverage_at_10_risk": "kept when at most 10 % of those are wrong",
}


def selective_block(report: TrustReport) -> Block:
    """Risk and F1 by coverage, with common operating points."""
    selective, best = report.selective, report.selective.best_f1
    rows = [(_METRICS.get(name, name), with_interval(m)) for name, m in selective.metrics.items()]
    rows.append(("best F1 over all thresholds", decimal_percent(best.f1)))
    rows.append(("kept at the best F1", decimal_percent(best.coverage)))
    rows.append(("confidence threshold at the best F1", decimal_percent(best.threshold)))
    return Block(
        "How good are the predictions when uncertain ones are set aside?",
        "selective prediction: risk and F1 by coverage",
        "From right to left, more of the least confident predictions are set aside. The error rate should "
        "fall. F1, which also counts missed annotations, mostly falls too: set predictions aside where an "
        "error costs more than a miss.",
        (_risk_plot(report), _f1_plot(report)),
        tuple((point.shape, point.label) for point in _labelled_points(report)),
        (
            Table("Selective prediction, per cent", ("metric", "value [95 %]"), tuple(rows)),
            _curve_table(report),
        ),
    )


class _LabelledPoint(NamedTuple):
    """A point that both curves mark."""

    coverage: float
    risk: float
    f1: float
    shape: str
    label: str


def _labelled_points(report: TrustReport) -> Iterator[_LabelledPoint]:
    metrics, best = report.selective.metrics, report.selective.best_f1
    risk, f1 = metrics["risk_at_80_coverage"].value, _f1_at(report, 0.8)
    label = f"80 % kept: {decimal_percent(risk)} % wrong, F1 {decimal_percent(f1)}"
    yield _LabelledPoint(0.8, risk, f1, "circle", label)
    for limit, shape in ((5, "square"), (10, "triangle")):
        kept = metrics[f"coverage_at_{limit}_risk"].value
        if kept > 0:
            f1 = _f1_at(report, kept)
            label = f"at most {limit} % wrong: {decimal_percent(kept)} % kept, F1 {decimal_percent(f1)}"
            yield _LabelledPoint(kept, min(limit / 100, _risk_at(report, kept)), f1, shape, label)
    label = (
        f"best F1, {decimal_percent(best.f1)}: {decimal_percent(best.coverage)} % kept, "
        f"{decimal_percent(best.risk)} % wrong"
    )
    yield _LabelledPoint(best.coverage, best.risk, best.f1, "diamond", label)


def _risk_plot(report: TrustReport) -> Plot:
    curve = report.selective.curve
    steps = round_steps(max([0.12, *(point.risk for point in curve)]))
    plot = Plot("Error rate by coverage", "kept (coverage), %", "wrong (risk), %", y_range=(0, steps[-1]))
    plot.tick(FIFTHS, steps)
    for limit in (0.05, 0.10):
        plot.line([(0, limit), (1, limit)], "edge")
    plot.line([(point.coverage, point.risk) for point in curve], "line")
    for point in _labelled_points(report):
        plot.mark(point.coverage, point.risk, point.shape, "open")
    return plot


def _f1_plot(report: TrustReport) -> Plot:
    plot = Plot("F1 by coverage", "kept (coverage), %", "F1, %")
    plot.tick(FIFTHS, FIFTHS)
    plot.line([(0, 0), *((point.coverage, point.f1) for point in report.selective.curve)], "line")
    for point in _labelled_points(report):
        plot.mark(point.coverage, point.f1, point.shape, "open")
    return plot


def _risk_at(report: TrustReport, coverage: float) -> float:
    """Interpolated between the points of the curve."""
    curve = report.selective.curve
    wrong = [point.coverage * point.risk for point in curve]
    return float(np.interp(coverage, [0.0, *(p.coverage for p in curve)], [0.0, *wrong])) / coverage


def _f1_at(report: TrustReport, coverage: float) -> float:
    """Interpolated between the points of the curve; F1 is 0 where nothing is kept."""
    curve = report.selective.curve
    return float(np.interp(coverage, [0.0, *(p.coverage for p in curve)], [0.0, *(p.f1 for p in curve)]))


def _curve_table(report: TrustReport) -> Table:
    rows = [
        tuple(decimal_percent(x) for x in (p.coverage, p.threshold, p.risk, p.recall, p.f1))
        for p in report.selective.curve
    ]
    columns = ("kept, %", "confidence threshold, %", "wrong, %", "recall, %", "F1, %")
    return Table("Points of the curves", columns, tuple(rows), folded=True)
