"""The key metrics of a trust report in plain words, each with its technical term.

The module does not depend on the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from twofold.evaluation import error_types
from twofold.evaluation.trust_report import ALL, TrustReport
from twofold.report.number_format import decimal_percent, whole_percent

MEASURES = {"confidence": "1 − confidence", "total": "aleatoric + epistemic"}
"""Labels of uncertainty measures whose name is not clear enough."""
ERROR_TYPES = {
    error_types.WRONG_TYPE: "wrong type",
    error_types.WRONG_RELATION: "another relation",
    error_types.WRONG_DIRECTION: "wrong direction",
    error_types.WRONG_ARGUMENTS: "wrong arguments",
    error_types.WRONG_BOUNDARY: "wrong boundary",
    error_types.SPURIOUS: "spurious",
}
"""Labels of error types."""


class Statement(NamedTuple):
    """A metric in large type on the page, with the sentences that explain it.

    Attributes:
        value: the number. label: its meaning in plain words. term: its technical term.
        explanation: a few sentences.
    """

    value: str
    label: str
    term: str
    explanation: str


def statements(report: TrustReport, what: str) -> Iterator[Statement]:
    """The key metrics.

    Args:
        report: all metrics.
        what: the kind of prediction, in the plural.
    """
    whole = report.calibration[ALL]
    if not whole.predictions:
        yield Statement("0", f"{what} predicted", "", f"{report.gold:,} are annotated; all are missed.")
        return
    yield _precision(report, what)
    if report.gold:
        yield _missed(report, what)
    yield _calibration_error(report)
    yield from _selective(report)
    yield from _error_detection(report)


def _precision(report: TrustReport, what: str) -> Statement:
    whole = report.calibration[ALL]
    wrong = [
        f"{label}: {report.error_types[name]:,}"
        for name, label in ERROR_TYPES.items()
        if report.error_types.get(name)
    ]
    errors = f" Errors: {', '.join(wrong)}." if wrong else ""
    return Statement(
        f"{whole_percent(whole.right / whole.predictions)} %",
        "right",
        "precision",
        f"{whole.right:,} of {whole.predictions:,} predicted {what} are right.{errors}",
    )


def _missed(report: TrustReport, what: str) -> Statement:
    missed = report.calibration[ALL].missed
    return Statement(
        f"{whole_percent(missed / report.gold)} %",
        "missed",
        "1 − recall",
        f"{missed:,} of {report.gold:,} annotated {what} were not predicted as annotated. They have no "
        "confidence, so the metrics below do not count them.",
    )


def _calibration_error(report: TrustReport) -> Statement:
    whole = report.calibration[ALL]
    ece, confidence, accuracy = (whole.metrics[name] for name in ("ece", "confidence", "accuracy"))
    chance = (
        f"A perfectly calibrated model would show {decimal_percent(whole.ece_if_calibrated)} by chance alone"
    )
    if ece.low <= whole.ece_if_calibrated:
        result = f"{chance}: no miscalibration is shown."
    else:
        bias = "overconfident" if confidence.value > accuracy.value else "underconfident"
        result = (
            f"{chance}. The model is {bias}: its mean confidence is {decimal_percent(confidence.value)} %, "
            f"its accuracy {decimal_percent(accuracy.value)} %."
        )
    return Statement(
        decimal_percent(ece.value),
        "points between confidence and accuracy",
        "expected calibration error, ECE",
        f"The mean distance over 15 bins of confidence; 95 % interval {decimal_percent(ece.low)} to "
        f"{decimal_percent(ece.high)}. {result}",
    )


def _selective(report: TrustReport) -> Iterator[Statement]:
    metrics = report.selective.metrics
    error_rate = 1 - report.calibration[ALL].metrics["accuracy"].value
    yield Statement(
        f"{whole_percent(metrics['risk_at_80_coverage'].value)} %",
        "wrong among the most confident 80 %",
        "risk at 80 % coverage",
        "The error rate after the 20 % with the lowest confidence are set aside. Of all predictions, "
        f"{whole_percent(error_rate)} % are wrong.",
    )
    yield Statement(
        f"{whole_percent(metrics['coverage_at_5_risk'].value)} %",
        "can be kept with at most 5 % errors",
        "coverage at 5 % risk",
        f"With at most 10 % errors it is {whole_percent(metrics['coverage_at_10_risk'].value)} %. The "
        "threshold is chosen on these same posts, so this is optimistic; twofold calibrate fits one with a "
        "guarantee.",
    )


def _error_detection(report: TrustReport) -> Iterator[Statement]:
    auroc = report.error_auroc["confidence"]
    if not math.isfinite(auroc.value):
        return
    useless = [
        MEASURES.get(name, name)
        for name, found in report.error_auroc.items()
        if found.low <= 0.5 and name != "confidence"
    ]
    warning = f" No better than chance here: {_listed(useless)}." if useless else ""
    yield Statement(
        f"{whole_percent(auroc.value)} %",
        "of errors ranked below a right prediction",
        "AUROC of error detection",
        "The probability that a random wrong prediction has a lower confidence than a random right one; "
        f"50 % is chance.{warning}",
    )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
