"""Prints the main metrics of a trust report; all of them are in the JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from twofold.console.number_format import percent, percent_interval
from twofold.evaluation.error_types import RIGHT
from twofold.evaluation.trust_report import ALL, CalibrationMetrics, TrustReport
from twofold.scoring.report import END_TO_END, TRUST_TITLES, EvaluationReport


def all_trust_lines(report: EvaluationReport) -> Iterator[str]:
    """Every trust report of an evaluation, each followed by an empty line."""
    for key, found in report.trust.items():
        yield from trust_lines(
            found, TRUST_TITLES[key], list(found.calibration) if key == "entities" else [ALL]
        )
        if key == END_TO_END and report.not_annotated:
            yield f"not scored: {report.not_annotated} more, whose pairs are not annotated"
        yield ""


def trust_lines(report: TrustReport, what: str, rows: Sequence[str]) -> Iterator[str]:
    """The main metrics, in per cent, with bootstrap intervals over posts in brackets.

    Args:
        report: all metrics.
        what: name of the predictions, in the plural.
        rows: types whose calibration is shown.
    """
    yield f"trust     {what}, per cent; [95 % over posts]; metrics are explained in docs/confidence.md"
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.error_types.items())
    yield f"predicted {counts}; {report.calibration[ALL].missed} gold {what} missed"
    yield ""
    yield from _calibrations(report, rows)
    yield ""
    selective = report.selective.metrics
    yield "selective prediction: the least confident rejected"
    yield f"  AURC {percent_interval(selective['aurc'])}, excess {percent_interval(selective['excess_aurc'])}"
    yield f"  AUGRC {percent_interval(selective['augrc'])}"
    yield f"  error rate at 80 % coverage {percent_interval(selective['risk_at_80_coverage'])}"
    for risk in (5, 10):
        yield f"  coverage at {risk} % error rate {percent_interval(selective[f'coverage_at_{risk}_risk'])}"
    yield ""
    yield from _errors(report)
    if report.modalities:
        shares = (f"{name} {percent(m.share)}" for name, m in report.modalities.items())
        yield f"mean share of each modality, over posts that have it: {', '.join(shares)}"


def _calibrations(report: TrustReport, rows: Sequence[str]) -> Iterator[str]:
    """One line for each type, with the values before calibration if they are known."""
    before = report.uncalibrated.calibration if report.uncalibrated is not None else {}
    if before:
        yield "before > after calibration; before: temperature 1"
    yield "ideal: ECE that a perfectly calibrated model would show on as many predictions"
    gap = " " * 8 if before else ""
    columns = f"ECE [95 %]         ideal  {gap} Brier {gap}    NLL  pred.  right missed"
    yield f"{'calibration':12} {gap}  {columns}"
    for name in rows:
        yield f"{name:12} {_calibration(report.calibration[name], before.get(name))}"


def _calibration(now: CalibrationMetrics, before: CalibrationMetrics | None) -> str:
    def changed(name: str, shown: Callable[[float], str]) -> str:
        return "" if before is None else f"{shown(before.metrics[name].value):>5} > "

    ece, brier, nll = (now.metrics[name] for name in ("ece", "brier", "nll"))
    return (
        f"{changed('ece', percent)}{percent_interval(ece):20} {percent(now.ece_if_calibrated):>6} "
        f"{changed('brier', percent)}{percent(brier.value):>7} {changed('nll', _nats)}{_nats(nll.value):>7} "
        f"{now.predictions:6} {now.right:6} {now.missed:6}"
    )


def _errors(report: TrustReport) -> Iterator[str]:
    errors = [name for name in report.error_types if name != RIGHT]
    columns = "".join(f"{name.replace('_', ' '):>16}" for name in errors)
    yield f"{'error detection':15} AUROC [95 %]           AUPR  FPR95 AUROC:{columns}"
    for name, found in report.error_detection.items():
        of_all = f"{percent(found[ALL].aupr):>6} {percent(found[ALL].fpr95):>6}"
        by_type = "".join(f"{percent(found[error].auroc):>16}" for error in errors)
        yield f"{name:15} {percent_interval(report.error_auroc[name]):20} {of_all}       {by_type}"


def _nats(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"
