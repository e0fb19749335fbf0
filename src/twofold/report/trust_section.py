"""A trust report as blocks of a page: plots, each with a table of the same figures.

All figures are those of the report, per cent with one decimal (as its JSON holds them, times 100). It does
not know HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from twofold.evaluation.detection import DetectionMetrics
from twofold.evaluation.error_types import RIGHT
from twofold.evaluation.trust_report import ALL, TrustReport
from twofold.report.calibration_blocks import reliability_block, types_block
from twofold.report.plots import Plot, round_steps, row_plot
from twofold.report.sections import FIFTHS, Block, Section, Table, interval
from twofold.report.statements import MEASURES, points, statements

_KIND_SHAPES = {
    "wrong_type": "square",
    "wrong_boundary": "triangle",
    "wrong_relation": "square",
    "wrong_direction": "triangle",
    "wrong_arguments": "point",
    "spurious": "diamond",
}


def section(what: str, report: TrustReport) -> Section:
    """Everything on a report.

    Args:
        what: was predicted, in the plural.
        report: all figures.
    """
    blocks = [types_block(report)]
    if report.calibration[ALL].predictions:
        blocks = [reliability_block(report), *blocks, _selective(report), _errors(report)]
    if report.modalities:
        blocks.append(_sources(report))
    return Section(what.replace(" ", "-"), what.capitalize(), tuple(statements(report, what)), tuple(blocks))


# --- kept --------------------------------------------------------------------------------------------

_KEPT = {
    "aurc": "AURC: part wrong, over all thresholds",
    "excess_aurc": "excess AURC: what a better order would save",
    "augrc": "AUGRC: kept and wrong, at a random threshold",
    "risk_at_80_coverage": "wrong, when 80 % are kept",
    "coverage_at_5_risk": "kept, when at most 5 % of those are wrong",
    "coverage_at_10_risk": "kept, when at most 10 % of those are wrong",
}


def _selective(report: TrustReport) -> Block:
    told = report.selective
    rows = [(_KEPT.get(name, name), interval(figure)) for name, figure in told.metrics.items()]
    best = told.best_f1
    rows.append(("best F1 of any threshold", points(best.f1)))
    rows.append(("kept there", points(best.coverage)))
    rows.append(("confidence kept there, at least", points(best.threshold)))
    marked = tuple((mark.shape, mark.words) for mark in _marked(report))
    return Block(
        "What is left when the least sure are set aside?",
        "From right to left, ever more of the least sure predictions are set aside. The part that is wrong "
        "should fall; F1, which counts what is missed as well, mostly falls too: setting aside is for when a "
        "mistake costs more than a miss.",
        (_risk_plot(report), _f1_plot(report)),
        marked,
        (
            Table("Setting the least sure aside, per cent", ("figure", "value [95 %]"), tuple(rows)),
            _curve(report),
        ),
    )


class _Marked(NamedTuple):
    """A place that both curves mark."""

    kept: float
    wrong: float
    f1: float
    shape: str
    words: str


def _marked(report: TrustReport) -> Iterator[_Marked]:
    told, best = report.selective.metrics, report.selective.best_f1
    risk, f1 = told["risk_at_80_coverage"].value, _f1_at(report, 0.8)
    yield _Marked(0.8, risk, f1, "circle", f"80 % kept: {points(risk)} wrong, F1 {points(f1)}")
    for limit, shape in ((5, "square"), (10, "triangle")):
        kept = told[f"coverage_at_{limit}_risk"].value
        if kept > 0:
            f1 = _f1_at(report, kept)
            words = f"{limit} % wrong at most: {points(kept)} kept, F1 {points(f1)}"
            yield _Marked(kept, min(limit / 100, _risk_at(report, kept)), f1, shape, words)
    words = f"best F1, {points(best.f1)}: {points(best.coverage)} kept, {points(best.risk)} wrong"
    yield _Marked(best.coverage, best.risk, best.f1, "diamond", words)


def _risk_plot(report: TrustReport) -> Plot:
    curve = report.selective.curve
    steps = round_steps(max([0.12, *(point.risk for point in curve)]))
    plot = Plot("Part that is wrong, by part kept", "kept, %", "wrong, %", y_range=(0, steps[-1]))
    plot.tick(FIFTHS, steps)
    for limit in (0.05, 0.10):
        plot.line([(0, limit), (1, limit)], "edge")
    plot.line([(point.coverage, point.risk) for point in curve], "line")
    for mark in _marked(report):
        plot.mark(mark.kept, mark.wrong, mark.shape, "open")
    return plot


def _f1_plot(report: TrustReport) -> Plot:
    plot = Plot("F1 by part kept", "kept, %", "F1, %")
    plot.tick(FIFTHS, FIFTHS)
    plot.line([(0, 0), *((point.coverage, point.f1) for point in report.selective.curve)], "line")
    for mark in _marked(report):
        plot.mark(mark.kept, mark.f1, mark.shape, "open")
    return plot


def _risk_at(report: TrustReport, kept: float) -> float:
    """As near as the points of the curve tell."""
    curve = report.selective.curve
    wrong = [point.coverage * point.risk for point in curve]
    return float(np.interp(kept, [0.0, *(p.coverage for p in curve)], [0.0, *wrong])) / kept


def _f1_at(report: TrustReport, kept: float) -> float:
    """As near as the points of the curve tell; nothing kept is F1 0."""
    curve = report.selective.curve
    return float(np.interp(kept, [0.0, *(p.coverage for p in curve)], [0.0, *(p.f1 for p in curve)]))


def _curve(report: TrustReport) -> Table:
    rows = [
        tuple(points(x) for x in (p.coverage, p.threshold, p.risk, p.recall, p.f1))
        for p in report.selective.curve
    ]
    heads = ("kept, %", "confidence from, %", "wrong, %", "recall, %", "F1, %")
    return Table("Figures of the curves", heads, tuple(rows), folded=True)


# --- errors ------------------------------------------------------------------------------------------


def _errors(report: TrustReport) -> Block:
    kinds = [kind for kind in report.error_types if kind != RIGHT and report.error_types[kind]]
    key = [("mark", "all errors, with interval")]
    key += [(_KIND_SHAPES.get(kind, "circle"), kind.replace("_", " ")) for kind in kinds]
    heads = ("measure: errors", "AUROC", "AUPR", "FPR95", "wrong", "right")
    rows = tuple(row for name in report.error_detection for row in _error_rows(report, name, kinds))
    return Block(
        "What finds the errors?",
        "AUROC: of a wrong and a right prediction, how often the wrong one gets the larger value. 50 is a "
        "coin; "
        "left of 50 the measure points the wrong way. AUPR: precision of “this is wrong” over all "
        "thresholds. "
        "FPR95: how many right ones must be looked at as well to see 95 % of the wrong.",
        (_error_plot(report, kinds),),
        tuple(key),
        (Table("Detection of errors, per cent", heads, rows),),
    )


def _error_plot(report: TrustReport, kinds: Sequence[str]) -> Plot:
    names = [MEASURES.get(name, name) for name in report.error_detection]
    plot = row_plot("How well each measure finds errors (AUROC)", "AUROC, %", names)
    plot.tick(FIFTHS)
    plot.line([(0.5, -0.5), (0.5, len(names) - 0.5)], "edge")
    for row, (name, found) in enumerate(report.error_detection.items()):
        whole = report.error_auroc[name]
        for kind in kinds:
            plot.mark(found[kind].auroc, row, _KIND_SHAPES.get(kind, "circle"), "open")
        plot.whisker(whole.low, whole.high, row, "whisker")
        plot.mark(whole.value, row, "circle", "mark")
    return plot


def _error_rows(report: TrustReport, name: str, kinds: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for kind in (ALL, *kinds):
        found = report.error_detection[name][kind]
        auroc = interval(report.error_auroc[name]) if kind == ALL else points(found.auroc)
        yield (f"{MEASURES.get(name, name)}: {kind.replace('_', ' ')}", auroc, *_detected(found))


def _detected(found: DetectionMetrics) -> tuple[str, str, str, str]:
    return points(found.aupr), points(found.fpr95), f"{found.positives:,.0f}", f"{found.negatives:,.0f}"


# --- sources -----------------------------------------------------------------------------------------


def _sources(report: TrustReport) -> Block:
    rows = tuple(
        (_plain(name), f"{s.predictions:,}", points(s.share), points(s.share_right), points(s.share_wrong))
        for name, s in report.modalities.items()
    )
    heads = ("source", "predictions", "share, %", "where right, %", "where wrong, %")
    plot = row_plot("Mean share of each source", "share of the evidence, %", [row[0] for row in rows])
    plot.tick(FIFTHS)
    for row, source in enumerate(report.modalities.values()):
        plot.mark(source.share_wrong, row, "square", "open")
        plot.mark(source.share_right, row, "circle", "mark")
    return Block(
        "Where did the evidence come from?",
        "Mean share of each source in the posts that have it. A source with a larger share where the model "
        "is "
        "wrong than where it is right may be what misled it; it need not be.",
        (plot,) if len(rows) > 1 else (),
        (("mark", "where right"), ("square", "where wrong")),
        (Table("Share of the sources, per cent", heads, rows),),
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")
