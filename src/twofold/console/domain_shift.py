"""Prints how well a model's uncertainty detects out-of-distribution data; all metrics are in the JSON."""

from __future__ import annotations

from collections.abc import Iterator

from twofold.console.number_format import percent, percent_interval
from twofold.evaluation.domain_shift import DataMetrics, DomainShift


def shift_lines(shift: DomainShift) -> Iterator[str]:
    """The metrics, in per cent, with bootstrap intervals over posts in brackets."""
    yield f"domain shift: {shift.name}"
    yield f"{'':12}{shift.items:>9}    pred.     F1  right  confidence    ECE"
    for name, metrics in (("in-domain", shift.in_domain), ("OOD", shift.ood)):
        yield f"{name:12}{_data_metrics(metrics)}"
    yield ""
    width = max([14, *(len(name) for name in shift.detection)])
    yield f"{'OOD detection':{width}} AUROC [95 %]        AUPR (random)   FPR95 in-domain    OOD"
    for name, found in shift.detection.items():
        aupr = f"{percent(found.aupr.value)} ({percent(found.base_rate)})"
        fpr = percent(found.fpr95.value)
        row = f"{percent_interval(found.auroc):19} {aupr:13} {fpr:>7} {found.in_domain:9} {found.ood:6}"
        yield f"{_words(name):{width}} {row}"


def _words(name: str) -> str:
    """Name of a measure; for confidences, posts are ranked by 1 − confidence."""
    return name.replace("_", " ").replace(" confidence", " 1 − confidence")


def _data_metrics(metrics: DataMetrics) -> str:
    values = f"{percent(metrics.f1):>7}{percent(metrics.accuracy):>7}{percent(metrics.confidence):>12}"
    return f"{metrics.items:9}{metrics.predicted:9}{values}{percent(metrics.ece):>7}"
