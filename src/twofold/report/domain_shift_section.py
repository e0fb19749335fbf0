"""Detection of out-of-distribution data as a section of the trust report. Independent of HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from twofold.evaluation.domain_shift import DataMetrics, DomainShift
from twofold.report.number_format import decimal_percent, whole_percent
from twofold.report.plots import Plot, auroc_plot
from twofold.report.sections import Block, Section, Table, with_interval
from twofold.report.statements import MEASURES, Statement


def domain_shift_section(shifts: Sequence[DomainShift]) -> Section:
    """One block for each data set."""
    return Section(
        "out-of-distribution",
        "Out-of-distribution data",
        tuple(_statement(shift) for shift in shifts),
        tuple(_block(shift) for shift in shifts),
    )


def _statement(shift: DomainShift) -> Statement:
    """The AUROC of the confidence, chosen beforehand: the best of many measures would be optimistic."""
    auroc = shift.detection["entity_confidence_mean" if shift.items == "posts" else "confidence"].auroc
    known = {name: m.auroc.value for name, m in shift.detection.items() if math.isfinite(m.auroc.value)}
    if not known:
        return Statement("–", shift.name, "", "Too few predictions for a comparison.")
    best = max(known, key=lambda name: known[name])
    item = "post" if shift.items == "posts" else "entity"
    return Statement(
        f"{whole_percent(auroc.value)} %",
        f"of {shift.name} ranked below in-domain {'posts' if item == 'post' else 'entities'}",
        "AUROC of OOD detection",
        f"The probability that a random out-of-distribution {item} has a lower confidence than a random "
        f"in-domain one; 50 % is chance. The best of {len(known)} measures, chosen on these same data: "
        f"{measure_label(best)}, {decimal_percent(known[best])} %.",
    )


def _block(shift: DomainShift) -> Block:
    columns = (
        "data", shift.items, *(("entities predicted",) if shift.items == "posts" else ()),
        "F1", "right, %", "confidence, %", "ECE",
    )  # fmt: skip
    sides = (("in-domain", shift.in_domain), ("out-of-distribution", shift.ood))
    rows = tuple((name, *_data_cells(side, shift.items)) for name, side in sides)
    detection = tuple(
        (
            measure_label(name),
            *(with_interval(metric) for metric in (m.auroc, m.aupr, m.fpr95)),
            decimal_percent(m.base_rate),
            f"{m.in_domain:,}",
            f"{m.ood:,}",
        )
        for name, m in shift.detection.items()
    )
    return Block(
        shift.name,
        "OOD detection: AUROC, AUPR, FPR95",
        "How well each measure of uncertainty separates out-of-distribution from in-domain data. Items "
        "without a value (a post without entities) are left out, so compare the counts as well.",
        (_plot(shift),),
        (("mark", "AUROC with 95 % interval"),),
        (
            Table("Metrics of the model on both data sets", columns, rows),
            Table(
                "Detection of out-of-distribution data, per cent",
                ("measure", "AUROC", "AUPR", "FPR95", "AUPR by chance", "in-domain", "OOD"),
                detection,
                folded=True,
            ),
        ),
    )


def _data_cells(metrics: DataMetrics, items: str) -> tuple[str, ...]:
    counts = [f"{metrics.items:,}", *([f"{metrics.predicted:,}"] if items == "posts" else [])]
    values = (metrics.f1, metrics.accuracy, metrics.confidence, metrics.ece)
    return (*counts, *(decimal_percent(value) for value in values))


def _plot(shift: DomainShift) -> Plot:
    aurocs = [m.auroc for m in shift.detection.values()]
    names = [measure_label(name) for name in shift.detection]
    values = [value for auroc in aurocs for value in (auroc.value, auroc.low)]
    plot = auroc_plot(f"AUROC of each measure for out-of-distribution data: {shift.name}", names, values)
    for row, auroc in enumerate(aurocs):
        plot.whisker(auroc.low, auroc.high, row, "whisker")
        plot.mark(auroc.value, row, "circle", "mark")
    return plot


def measure_label(name: str) -> str:
    """``entities: mean 1 − confidence`` for ``entity_confidence_mean``; other names by `MEASURES`."""
    of, _, rest = name.partition("_")
    measure, _, statistic = rest.partition("_")
    if of not in _PLURALS or not statistic:
        return MEASURES.get(name, name.replace("_", " "))
    return f"{_PLURALS[of]}: {statistic} {MEASURES.get(measure, measure)}"


_PLURALS = {"entity": "entities", "word": "words"}
