"""Foreign data as a section of the trust page. It does not know HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from twofold.evaluation.domain_shift import DataMetrics, DomainShift
from twofold.report.plots import Plot, row_plot
from twofold.report.sections import Block, Section, Table, interval
from twofold.report.statements import MEASURES, Statement, hundred, points


def domain_shift_section(shifts: Sequence[DomainShift]) -> Section:
    """One block for each data set."""
    told = tuple(_statement(shift) for shift in shifts)
    return Section("foreign", "Does it notice foreign data?", told, tuple(_block(shift) for shift in shifts))


def _statement(shift: DomainShift) -> Statement:
    """By the confidence, chosen beforehand; the best of many measures would flatter."""
    told = shift.detection["entity_confidence_mean" if shift.items == "posts" else "confidence"].auroc
    known = {name: m.auroc.value for name, m in shift.detection.items() if math.isfinite(m.auroc.value)}
    if not known:
        return Statement("–", shift.name, "Too little was found to tell.")
    best = max(known, key=lambda name: known[name])
    item = "post" if shift.items == "posts" else "entity"
    words = (
        f"Of a foreign {item} and one of its own, so often the foreign one has the lower confidence; 50 "
        "would be a "
        f"coin. The best of {len(known)} measures, picked afterwards: {_words(best)}, {points(known[best])}."
    )
    return Statement(hundred(told.value), f"in 100 pairs in order: {shift.name}", words)


def _block(shift: DomainShift) -> Block:
    sides = (("one’s own", shift.in_domain), ("foreign", shift.ood))
    heads = (
        "data", shift.items, *(("entities found",) if shift.items == "posts" else ()),
        "F1", "right, %", "confidence, %", "ECE",
    )  # fmt: skip
    rows = tuple((name, *_side(side, shift.items)) for name, side in sides)
    measured = tuple(
        (
            _words(name),
            *(interval(figure) for figure in (m.auroc, m.aupr, m.fpr95)),
            points(m.base_rate),
            f"{m.in_domain:,}",
            f"{m.ood:,}",
        )
        for name, m in shift.detection.items()
    )
    columns = ("measure", "AUROC", "AUPR", "FPR95", "AUPR by chance", "own", "foreign")
    return Block(
        shift.name,
        "Each measure, larger for less sure: how well it tells foreign from own. What has no value (a post "
        "without "
        "entities) is left out, so look at the counts as well.",
        (_plot(shift),),
        (("mark", "AUROC with interval"),),
        (
            Table("How the model fares", heads, rows),
            Table("Telling foreign from own, per cent", columns, measured, folded=True),
        ),
    )


def _side(side: DataMetrics, items: str) -> tuple[str, ...]:
    counts = [f"{side.items:,}", *([f"{side.predicted:,}"] if items == "posts" else [])]
    return (*counts, *(points(x) for x in (side.f1, side.accuracy, side.confidence, side.ece)))


def _plot(shift: DomainShift) -> Plot:
    plot = row_plot(
        f"How well each measure tells foreign from own (AUROC): {shift.name}",
        "AUROC, %",
        [_words(name) for name in shift.detection],
    )
    plot.tick((0.0, 0.25, 0.5, 0.75, 1.0))
    plot.line([(0.5, -0.5), (0.5, len(shift.detection) - 0.5)], "edge")
    for row, told in enumerate(shift.detection.values()):
        plot.whisker(told.auroc.low, told.auroc.high, row, "whisker")
        plot.mark(told.auroc.value, row, "circle", "mark")
    return plot


def _words(name: str) -> str:
    return MEASURES.get(name, name.replace("_", " ").replace(" confidence", " doubt"))
