"""Error detection as a block of the trust report: how well each uncertainty measure finds the errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twofold.evaluation.detection import DetectionMetrics
from twofold.evaluation.error_types import (
    RIGHT,
    SPURIOUS,
    WRONG_ARGUMENTS,
    WRONG_BOUNDARY,
    WRONG_DIRECTION,
    WRONG_RELATION,
    WRONG_TYPE,
)
from twofold.evaluation.trust_report import ALL, TrustReport
from twofold.report.number_format import decimal_percent
from twofold.report.plots import Plot, auroc_plot, lane
from twofold.report.sections import Block, Table, with_interval
from twofold.report.statements import ERROR_TYPES, MEASURES

ERROR_SHAPES = {
    WRONG_TYPE: "square",
    WRONG_BOUNDARY: "triangle",
    WRONG_RELATION: "square",
    WRONG_DIRECTION: "triangle",
    WRONG_ARGUMENTS: "point",
    SPURIOUS: "diamond",
}
"""The shape of each error type in the plot."""


def error_detection_block(report: TrustReport) -> Block:
    """AUROC, AUPR and FPR95 of each measure, for all errors and for each error type."""
    kinds = [kind for kind, count in report.error_types.items() if kind != RIGHT and count]
    legend = [("mark", "all errors, with 95 % interval")]
    legend += [(ERROR_SHAPES.get(kind, "circle"), _label(kind)) for kind in kinds]
    columns = ("measure: errors", "AUROC", "AUPR", "FPR95", "wrong", "right")
    rows = tuple(row for name in report.error_detection for row in _rows(report, name, kinds))
    return Block(
        "Which measure finds the errors?",
        "error detection: AUROC, AUPR, FPR95",
        "AUROC: how often a wrong prediction has a larger value than a right one; 50 is chance. AUPR: mean "
        "precision when the largest values are checked first. FPR95: the share of right predictions that are "
        "checked as well until 95 % of the wrong ones are found.",
        (_plot(report, kinds),),
        tuple(legend),
        (Table("Detection of errors, per cent", columns, rows),),
    )


def _label(kind: str) -> str:
    return ERROR_TYPES.get(kind, kind.replace("_", " "))


def _plot(report: TrustReport, kinds: Sequence[str]) -> Plot:
    """A row for each measure, with a lane for all errors and one for each type."""
    detection = report.error_detection
    intervals = report.error_auroc
    values = [detection[name][kind].auroc for name in detection for kind in kinds]
    values += [value for auroc in intervals.values() for value in (auroc.value, auroc.low)]
    lanes = 1 + len(kinds)
    names = [MEASURES.get(name, name) for name in detection]
    plot = auroc_plot("AUROC of each measure for wrong predictions", names, values, lanes)
    for row, name in enumerate(detection):
        auroc = intervals[name]
        plot.whisker(auroc.low, auroc.high, lane(row, 0, lanes), "whisker")
        plot.mark(auroc.value, lane(row, 0, lanes), "circle", "mark")
        for i, kind in enumerate(kinds, start=1):
            shape = ERROR_SHAPES.get(kind, "circle")
            plot.mark(detection[name][kind].auroc, lane(row, i, lanes), shape, "open")
    return plot


def _rows(report: TrustReport, name: str, kinds: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for kind in (ALL, *kinds):
        found = report.error_detection[name][kind]
        auroc = with_interval(report.error_auroc[name]) if kind == ALL else decimal_percent(found.auroc)
        yield (f"{MEASURES.get(name, name)}: {_label(kind)}", auroc, *_cells(found))


def _cells(found: DetectionMetrics) -> tuple[str, str, str, str]:
    counts = f"{found.positives:,.0f}", f"{found.negatives:,.0f}"
    return decimal_percent(found.aupr), decimal_percent(found.fpr95), *counts
