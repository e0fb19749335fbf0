"""What a calibration turned out to be, as lines of text; the rest is in the folder's ``calibration.json``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from twofold.calibration.decision_rule import DecisionRuleFit
from twofold.calibration.methods import Measured
from twofold.calibration.relations import EndToEnd
from twofold.calibration.risk_control import RiskControl


def calibration_lines(what: str, measured: Measured, temperature: float) -> Iterator[str]:
    """The main figures, in per cent.

    Args:
        what: was calibrated, in the plural.
        measured: all figures.
        temperature: that was fitted.
    """
    (first, second), (fitted, tested) = measured.posts, measured.predictions
    before, after = measured.before["ece"], measured.after["ece"]
    yield f"{first} posts to fit on, {second} to test on; {fitted} and {tested} {what} found"
    yield f"temperature {temperature:.3f}"
    yield (
        f"calibration error {_percent(before)} before, {_percent(after)} after, "
        f"{_percent(measured.ece_if_calibrated)} of exact confidences by chance"
    )
    yield from _risks(measured.risks)
    for level, figures in measured.sets.items():
        yield (
            f"sets at {_percent(float(level))} %: hold the truth in {_percent(figures.coverage)} %, "
            f"{figures.size:.2f} answers on average, {_percent(figures.single)} % with one only"
        )


def end_to_end_lines(found: EndToEnd) -> Iterator[str]:
    """What the confidences of relations are worth between entities that the model finds, in per cent."""
    yield (
        f"end to end, in the {found.posts} posts to test on: {found.told} relations told, "
        f"{found.judged} of them between annotated ends, or near these"
    )
    figures = found.figures
    yield (
        f"end to end: {_percent(figures['accuracy'])} % of these are right, with a mean confidence of "
        f"{_percent(figures['confidence'])}; calibration error {_percent(figures['ece'])}"
    )
    for error, kept in found.kept.items():
        part = _percent(found.wrong[error] / kept if kept else math.nan)
        yield (
            f"end to end, where at most {_percent(float(error))} % wrong is promised of given pairs: "
            f"keeps {kept}, {part} % wrong"
        )


def decision_rule_lines(chosen: DecisionRuleFit | None) -> Iterator[str]:
    """What with_decision_rule spans by F1 brought; nothing where they were not."""
    if chosen is None:
        return
    if chosen.decision_rule is None:
        f1 = _percent(chosen.f1)
        yield f"told is the best tag sequence, F1 {f1} on the posts to test on: no rule is better"
    else:
        yield (
            f"told are spans worth more than {chosen.decision_rule.threshold:.3f} at temperature "
            f"{chosen.decision_rule.temperature:.3f}: F1 {_percent(chosen.f1)} on the posts to test on; "
            f"best tag sequence {_percent(chosen.f1_viterbi)}"
        )


def _risks(risks: Sequence[RiskControl]) -> Iterator[str]:
    for risk in risks:
        start = f"at most {_percent(risk.error)} % wrong ({_percent(risk.confidence)} % sure): "
        if risk.threshold is not None:
            yield f"{start}keeps {_percent(risk.coverage)} %, of confidence {risk.threshold:.3f} or more"
        elif risk.instead is not None:
            error, coverage = _percent(risk.instead.error), _percent(risk.instead.coverage)
            yield f"{start}not on these data; {error} % is, keeping {coverage} %"
        else:
            yield f"{start}not on these data, nor is any other part"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "–"
