"""A trust report in words, for a person who is not a statistician: out of a hundred, and what follows.

It does not know the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from twofold.evaluation.trust_report import ALL, TrustReport

MEASURES = {"confidence": "1 − confidence", "total": "aleatoric + epistemic"}
"""Names of measures where the name itself does not say it."""
_MISTAKES = {
    "wrong_type": "have the wrong type",
    "wrong_relation": "are another relation",
    "wrong_direction": "run the other way",
    "wrong_arguments": "have wrong ends",
    "wrong_boundary": "have the wrong borders",
    "spurious": "are none at all",
}


class Statement(NamedTuple):
    """A figure that is large on the page, and the sentences that explain it."""

    figure: str
    unit: str
    words: str


def statements(report: TrustReport, what: str) -> Iterator[Statement]:
    """The head figures.

    Args:
        report: all figures.
        what: was predicted, in the plural.
    """
    whole = report.calibration[ALL]
    if not whole.predictions:
        yield Statement("0", what, f"The model found none of the {report.gold:,} that are there.")
        return
    yield _right(report, what)
    if report.gold:
        yield Statement(
            hundred(whole.missed / report.gold),
            "in 100 missed",
            f"Of the {report.gold:,} {what} that are there, {whole.missed:,} were not found as they are. For "
            "these there is no confidence, and none of the figures below counts them.",
        )
    yield _calibrated(report)
    yield from _kept(report)
    yield from _told(report)


def _right(report: TrustReport, what: str) -> Statement:
    whole = report.calibration[ALL]
    wrong = [
        f"{report.error_types[kind]:,} {words}"
        for kind, words in _MISTAKES.items()
        if report.error_types.get(kind)
    ]
    told = f" {_listed(wrong)}." if wrong else ""
    figure = hundred(whole.right / whole.predictions)
    return Statement(
        figure, "in 100 right", f"Of {whole.predictions:,} {what} found, {whole.right:,} are right.{told}"
    )


def _calibrated(report: TrustReport) -> Statement:
    whole = report.calibration[ALL]
    ece, sure, right = (whole.metrics[name] for name in ("ece", "confidence", "accuracy"))
    luck = f"Perfect confidences would show {points(whole.ece_if_calibrated)} on so few, by luck alone"
    if ece.low <= whole.ece_if_calibrated:
        verdict = f"{luck}: this cannot be told from perfect."
    else:
        way = "too sure" if sure.value > right.value else "not sure enough"
        verdict = (
            f"{luck}. On the whole it is {way}: {points(sure.value)} on average, {points(right.value)} right."
        )
    return Statement(
        points(ece.value),
        "points off",
        f"So far, on average, is the confidence from how often it is right (on other such posts "
        f"{points(ece.low)} to {points(ece.high)}). {verdict}",
    )


def _kept(report: TrustReport) -> Iterator[Statement]:
    figures = report.selective.metrics
    wrong = 1 - report.calibration[ALL].metrics["accuracy"].value
    yield Statement(
        hundred(figures["risk_at_80_coverage"].value),
        "in 100 wrong of the surest",
        "When the least sure fifth is set aside, so many of the rest are wrong; of all it is "
        f"{hundred(wrong)}.",
    )
    yield Statement(
        hundred(figures["coverage_at_5_risk"].value),
        "in 100 kept, 5 in 100 of them wrong",
        "So many can be kept so that at most 5 in 100 of them are wrong; "
        f"{hundred(figures['coverage_at_10_risk'].value)} with at most 10. Found on these very posts with "
        "the "
        "answers at hand, so it is hopeful: twofold calibrate makes a promise of it.",
    )


def _told(report: TrustReport) -> Iterator[Statement]:
    auroc = report.error_auroc["confidence"]
    if not math.isfinite(auroc.value):
        return
    useless = [
        MEASURES.get(name, name)
        for name, told in report.error_auroc.items()
        if told.low <= 0.5 and name != "confidence"
    ]
    verb = "does" if len(useless) == 1 else "do"
    other = (
        f" {_listed(useless).capitalize()} {verb} not tell errors here: do not sort by it." if useless else ""
    )
    yield Statement(
        hundred(auroc.value),
        "in 100 pairs in order",
        "Of a wrong and a right one, so often the wrong one has the lower confidence; 50 would be a coin."
        + other,
    )


def hundred(part: float) -> str:
    """How many in a hundred; never all or none for what is only close to it."""
    if not math.isfinite(part):
        return "–"
    whole = f"{100 * part:.0f}"
    if whole == "100" and part < 1:
        return "over 99"
    return "under 1" if whole == "0" and part > 0 else whole


def points(part: float) -> str:
    """In hundredths, with a decimal."""
    return f"{100 * part:.1f}" if math.isfinite(part) else "–"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
