"""Prints the main metrics of a calibration; all of them are in the folder's ``calibration.json``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from twofold.calibration.calibrate import CalibrationReport
from twofold.calibration.decision_rule import DecisionRuleFit
from twofold.calibration.fit import CalibrationFit
from twofold.calibration.relation_rule import RelationRuleFit
from twofold.calibration.relations import EndToEndReport
from twofold.calibration.risk_control import RiskControl
from twofold.console.number_format import percent


def calibration_lines(what: str, fit: CalibrationFit) -> Iterator[str]:
    """The main metrics, per cent.

    Args:
        what: name of the predictions, in the plural.
        fit: the fitted calibration.
    """
    if fit.report is not None:
        yield from _report_lines(what, fit.report, fit.calibration.temperature)
    if fit.decision_rule_fit is not None:
        yield _decision_rule_line(fit.decision_rule_fit)
    if fit.end_to_end is not None:
        yield from _end_to_end_lines(fit.end_to_end)


def _report_lines(what: str, report: CalibrationReport, temperature: float) -> Iterator[str]:
    for split, posts, predictions in zip(report.posts._fields, report.posts, report.predictions, strict=True):
        yield f"{split} split: {posts} posts with {predictions} predicted {what}"
    yield f"temperature {temperature:.3f}"
    yield (
        f"expected calibration error {percent(report.before['ece'])} before, "
        f"{percent(report.after['ece'])} after; a perfectly calibrated model would show "
        f"{percent(report.ece_if_calibrated)}"
    )
    yield from _risk_lines(report.risk_control)
    for coverage, sets in report.prediction_sets.items():
        yield (
            f"prediction sets with coverage {percent(float(coverage))} %: cover "
            f"{percent(sets.coverage)} % of the true classes, {sets.mean_size:.2f} classes on average, "
            f"{percent(sets.singletons)} % with one class"
        )


def _end_to_end_lines(report: EndToEndReport) -> Iterator[str]:
    """Calibration of the confidences of relations between predicted entities, per cent."""
    yield (
        f"end to end, on the {report.posts} posts of the calibration split: {report.predicted} relations "
        f"predicted, {report.annotated} of them for annotated pairs or pairs that overlap one"
    )
    metrics = report.metrics
    yield (
        f"end to end: {percent(metrics['accuracy'])} % of these are right, with a mean confidence of "
        f"{percent(metrics['confidence'])} %; expected calibration error {percent(metrics['ece'])}"
    )
    for error, accepted in report.accepted.items():
        rate = percent(report.errors[error] / accepted if accepted else math.nan)
        yield (
            f"end to end, at the threshold for an error rate of {percent(float(error))} % on gold pairs: "
            f"{accepted} accepted, {rate} % of them wrong"
        )


def _decision_rule_line(fit: DecisionRuleFit | RelationRuleFit) -> str:
    """F1 with the fitted decision rule and without it."""
    rule = fit.decision_rule
    if isinstance(fit, RelationRuleFit):
        without = percent(fit.f1_most_probable)
        if rule is None:
            return f"relations: the most probable class decides, F1 {without}; no threshold is better"
        return (
            f"relations are predicted above a probability of {rule.threshold:.3f} at temperature "
            f"{rule.temperature:.3f}: F1 of gold pairs {percent(fit.f1)} on the calibration split; {without} "
            "where the most probable class decides"
        )
    if rule is None:
        f1 = percent(fit.f1_viterbi)
        return (
            f"Viterbi decoding is kept, F1 {f1} on the calibration split: F1-optimal decoding is not better"
        )
    return (
        f"F1-optimal decoding, threshold {rule.threshold:.3f} at temperature {rule.temperature:.3f}: F1 "
        f"{percent(fit.f1)} on the calibration split; {percent(fit.f1_viterbi)} with Viterbi decoding"
    )


def _risk_lines(risks: Sequence[RiskControl]) -> Iterator[str]:
    for risk in risks:
        start = f"error rate at most {percent(risk.max_error)} % ({percent(risk.confidence)} % confidence): "
        if risk.threshold is not None:
            yield f"{start}threshold {risk.threshold:.3f}, which accepts {percent(risk.coverage)} %"
        elif risk.achievable is not None:
            error, coverage = percent(risk.achievable.max_error), percent(risk.achievable.coverage)
            yield f"{start}not achievable on these data; {error} % is, accepting {coverage} %"
        else:
            yield f"{start}not achievable on these data, nor is any other error rate"
