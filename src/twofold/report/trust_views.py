"""A trust report as blocks of a page: plots, each with a table of the same figures.

All figures are those of the report, per cent with one decimal (as its JSON holds them, times 100). It does
not know HTML.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.calibration import Bin
from twofold.evaluation.detection import Detection
from twofold.evaluation.mistakes import RIGHT
from twofold.evaluation.trust import ALL, TrustReport
from twofold.report.plots import Plot, Tick, round_steps, row_plot
from twofold.report.trust_words import MEASURES, Statement, points, statements

FEW = 10
"""A bar of the diagram that rests on fewer predictions is pale."""
_FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_KIND_SHAPES = {"wrong_type": "square", "wrong_boundary": "triangle", "spurious": "diamond"}


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
    blocks: tuple[Block, ...] = field(default_factory=tuple)


def section(what: str, report: TrustReport) -> Section:
    """Everything on a report.

    Args:
        what: was predicted, in the plural.
        report: all figures.
    """
    blocks = [_by_type(report)]
    if report.calibration[ALL].predictions:
        blocks = [_reliability(report), *blocks, _selective(report), _errors(report)]
    if report.sources:
        blocks.append(_sources(report))
    return Section(what.replace(" ", "-"), what.capitalize(), tuple(statements(report, what)), tuple(blocks))


# --- calibration -------------------------------------------------------------------------------------


def _reliability(report: TrustReport) -> Block:
    bars = report.reliability
    key = [("column", "part that is right"), ("edge", "what it should be: the confidence itself")]
    if any(0 < bar.predictions < FEW for bar in bars):
        key.append(("pale", f"fewer than {FEW} predictions: luck"))
    if report.before is not None:
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
    plot.tick(_FIFTHS, _FIFTHS)
    for bar in report.reliability:
        if bar.predictions:
            few = bar.predictions < FEW
            plot.bar(bar.low, bar.high, bar.accuracy, "pale" if few else "column")
            plot.whisker(bar.low, bar.high, bar.accuracy, "thin" if few else "line")
    plot.line([(0, 0), (1, 1)], "edge")
    for bar in report.before.reliability if report.before is not None else ():
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
    plot.tick(_FIFTHS)
    plot.y = [Tick(plot.at_y(step), f"{step:,.0f}") for step in steps]
    for bar in bars:
        plot.bar(bar.low, bar.high, bar.predictions, "count")
    return plot


def _bins(report: TrustReport) -> Table:
    old = report.before.reliability if report.before is not None else ()
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


def _by_type(report: TrustReport) -> Block:
    before = ("ECE before",) if report.before is not None else ()
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
    means = (points(now.figures[key].value) for key in ("confidence", "accuracy"))
    return (kind, *counts, *means, *_changed(report, kind, "ece"), points(now.ece_by_chance))


def _more_row(report: TrustReport, kind: str) -> tuple[str, ...]:
    return (kind, *(cell for name in _CALIBRATION for cell in _changed(report, kind, name)))


def _changed(report: TrustReport, kind: str, name: str) -> tuple[str, ...]:
    """A figure before calibration, where that is known, and now with its interval."""
    now = report.calibration[kind].figures[name]
    ends = f" [{_figure(name, now.low)}–{_figure(name, now.high)}]" if math.isfinite(now.low) else ""
    told = _figure(name, now.value) + ends
    if report.before is None:
        return (told,)
    return _figure(name, report.before.calibration[kind].figures[name].value), told


def _figure(name: str, value: float) -> str:
    if name != "nll":
        return points(value)
    return f"{value:.3f}" if math.isfinite(value) else "–"


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
    rows = [(_KEPT.get(name, name), interval(figure)) for name, figure in told.figures.items()]
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
    told, best = report.selective.figures, report.selective.best_f1
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
    plot.tick(_FIFTHS, steps)
    for limit in (0.05, 0.10):
        plot.line([(0, limit), (1, limit)], "edge")
    plot.line([(point.coverage, point.risk) for point in curve], "line")
    for mark in _marked(report):
        plot.mark(mark.kept, mark.wrong, mark.shape, "open")
    return plot


def _f1_plot(report: TrustReport) -> Plot:
    plot = Plot("F1 by part kept", "kept, %", "F1, %")
    plot.tick(_FIFTHS, _FIFTHS)
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
    kinds = [kind for kind in report.kinds if kind != RIGHT and report.kinds[kind]]
    key = [("mark", "all errors, with interval")]
    key += [(_KIND_SHAPES.get(kind, "circle"), kind.replace("_", " ")) for kind in kinds]
    heads = ("measure: errors", "AUROC", "AUPR", "FPR95", "wrong", "right")
    rows = tuple(row for name in report.errors for row in _error_rows(report, name, kinds))
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
    names = [MEASURES.get(name, name) for name in report.errors]
    plot = row_plot("How well each measure finds errors (AUROC)", "AUROC, %", names)
    plot.tick(_FIFTHS)
    plot.line([(0.5, -0.5), (0.5, len(names) - 0.5)], "edge")
    for row, (name, found) in enumerate(report.errors.items()):
        whole = report.error_auroc[name]
        for kind in kinds:
            plot.mark(found[kind].auroc, row, _KIND_SHAPES.get(kind, "circle"), "open")
        plot.whisker(whole.low, whole.high, row, "whisker")
        plot.mark(whole.value, row, "circle", "mark")
    return plot


def _error_rows(report: TrustReport, name: str, kinds: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for kind in (ALL, *kinds):
        found = report.errors[name][kind]
        auroc = interval(report.error_auroc[name]) if kind == ALL else points(found.auroc)
        yield (f"{MEASURES.get(name, name)}: {kind.replace('_', ' ')}", auroc, *_detected(found))


def _detected(found: Detection) -> tuple[str, str, str, str]:
    return points(found.aupr), points(found.fpr95), f"{found.positives:,.0f}", f"{found.negatives:,.0f}"


# --- sources -----------------------------------------------------------------------------------------


def _sources(report: TrustReport) -> Block:
    rows = tuple(
        (_plain(name), f"{s.predictions:,}", points(s.share), points(s.share_right), points(s.share_wrong))
        for name, s in report.sources.items()
    )
    heads = ("source", "predictions", "share, %", "where right, %", "where wrong, %")
    plot = row_plot("Mean share of each source", "share of the evidence, %", [row[0] for row in rows])
    plot.tick(_FIFTHS)
    for row, source in enumerate(report.sources.values()):
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


def interval(figure: Interval) -> str:
    """With its ends in brackets, where there are any."""
    ends = f" [{points(figure.low)}–{points(figure.high)}]" if math.isfinite(figure.low) else ""
    return points(figure.value) + ends
