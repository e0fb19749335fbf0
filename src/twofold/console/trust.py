"""The main figures of a trust report as lines of text; the rest is in the JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.error_types import RIGHT
from twofold.evaluation.trust_report import ALL, CalibrationFigures, TrustReport


def trust_lines(report: TrustReport, what: str, rows: Sequence[str]) -> Iterator[str]:
    """Everything a person should look at first, per cent; in brackets what other such posts may give.

    Args:
        report: all figures.
        what: was predicted, in the plural.
        rows: types whose calibration is shown.
    """
    yield f"trust     {what}, per cent; [95 % over posts]; what the figures mean: docs/confidence.md"
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.kinds.items())
    yield f"found     {told}; {report.calibration[ALL].missed} gold {what} missed"
    yield ""
    yield from _calibrations(report, rows)
    yield ""
    selective = report.selective.figures
    yield "kept, surest first"
    yield f"  AURC {_interval(selective['aurc'])}, excess {_interval(selective['excess_aurc'])}"
    yield f"  AUGRC {_interval(selective['augrc'])}"
    yield f"  of the surest 80 %, wrong {_interval(selective['risk_at_80_coverage'])}"
    for risk in (5, 10):
        yield f"  {risk} % wrong at most: keeps {_interval(selective[f'coverage_at_{risk}_risk'])}"
    yield ""
    yield from _errors(report)
    if report.sources:
        shares = (f"{name} {_number(source.share)}" for name, source in report.sources.items())
        yield f"mean share of the sources a post has: {', '.join(shares)}"


def _calibrations(report: TrustReport, rows: Sequence[str]) -> Iterator[str]:
    """A line a type, with what was before calibration where that is known."""
    before = report.before.calibration if report.before is not None else {}
    if before:
        yield "before > after calibration; before: the network's own confidences, at temperature 1"
    gap = " " * 8 if before else ""
    columns = f"ECE [95 %]         chance {gap}  Brier {gap}    NLL  found  right missed"
    yield f"{'calibration':12} {gap}  {columns}"
    for name in rows:
        yield f"{name:12} {_calibration(report.calibration[name], before.get(name))}"


def _calibration(now: CalibrationFigures, before: CalibrationFigures | None) -> str:
    def changed(name: str, told: Callable[[float], str]) -> str:
        return "" if before is None else f"{told(before.figures[name].value):>5} > "

    ece, brier, nll = (now.figures[name] for name in ("ece", "brier", "nll"))
    return (
        f"{changed('ece', _number)}{_interval(ece):20} {_number(now.ece_by_chance):>6} "
        f"{changed('brier', _number)}{_number(brier.value):>7} {changed('nll', _nats)}{_nats(nll.value):>7} "
        f"{now.predictions:6} {now.right:6} {now.missed:6}"
    )


def _errors(report: TrustReport) -> Iterator[str]:
    kinds = [name for name in report.kinds if name != RIGHT]
    heads = "".join(f"{name.replace('_', ' '):>16}" for name in kinds)
    yield f"{'errors told by':14} AUROC [95 %]           AUPR  FPR95 AUROC:{heads}"
    for name, found in report.errors.items():
        of_all = f"{_number(found[ALL].aupr):>6} {_number(found[ALL].fpr95):>6}"
        of_kinds = "".join(f"{_number(found[kind].auroc):>16}" for kind in kinds)
        yield f"{name:14} {_interval(report.error_auroc[name]):20} {of_all}       {of_kinds}"


def _interval(figure: Interval) -> str:
    return f"{_number(figure.value):>5} [{_number(figure.low)}–{_number(figure.high)}]"


def _nats(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _number(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "–"
