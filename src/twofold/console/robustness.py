"""What perturbed pictures do to predictions, as lines of text; the rest is in the JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.paired_bootstrap import Difference
from twofold.robustness.report import OWN, Change, ConditionFigures, Verdict, WitnessReport
from twofold.scoring.robustness import RobustnessResult

_HOLDS = {True: "holds", False: "DOES NOT HOLD", None: "cannot be told"}


def robustness_lines(result: RobustnessResult) -> Iterator[str]:
    """Everything a person should look at first, per cent."""
    called = result.sample
    left = (called.without, called.unreadable, called.passed_over)
    yield f"pictures on the witness stand: {len(called.witnesses)} posts"
    yield "not called: {} without a picture, {} with an unreadable one, {} not in the sample".format(*left)
    yield "changes are from the own picture; [95 % over posts]; what the figures mean: docs/confidence.md"
    for what, report in result.reports.items():
        yield ""
        yield from _report(what, report)
    yield ""


def _report(what: str, report: WitnessReport) -> Iterator[str]:
    figures = report.conditions
    told = "entities" if what == "entities" else "relations of given pairs"
    yield f"{told}, {report.posts} posts, per cent"
    yield f"{'picture':10} {'F1':>5} {'change':20}  {'strict':8} {'flipped':17} {'own changed':12} its share"
    yield from (f"{name:10} {_outcome(name, figures[name])}" for name in figures)
    yield ""
    yield f"uncertainty of the same {_SAME[what]}, mean over posts, times 1000"
    yield from _uncertainties({name: condition.asked for name, condition in figures.items()})
    yield ""
    yield f"uncertainty of the {what} that are found, times 1000"
    yield from _uncertainties({name: condition.found for name, condition in figures.items()})
    yield ""
    apart = (f"{name} {_percent(value)}" for name, value in report.told_apart.items())
    yield f"AUROC of the picture's own uncertainty, another's against the own: {', '.join(apart)}"
    for verdict in report.verdicts.values():
        yield from _verdict(verdict)


_SAME = {
    "entities": "questions (entities found with the own picture)",
    "relations": "questions (every given pair)",
}


def _outcome(name: str, figures: ConditionFigures) -> str:
    own = "–" if figures.strict_f1 is None else f"{100 * figures.strict_f1:.2f}"
    cells = [f"{'–':20} ", f"{own:8}", f"{'–':17}", f"{'–':12}"]
    if name != OWN:
        strict = figures.strict_f1_change
        cells = [
            f"{_signed(figures.f1_change):20} ",
            f"{'–' if strict is None else f'{100 * strict.value:+.2f}':8}",
            f"{_percent(figures.flipped):17}",
            f"{_number(figures.changed.value):12}",
        ]
    return " ".join([f"{100 * figures.f1:5.2f}", *cells, _number(figures.share.value)])


def _uncertainties(rows: Mapping[str, Mapping[str, Change]]) -> Iterator[str]:
    measures = ("aleatoric", "epistemic", "confidence")
    yield f"{'picture':10} " + " ".join(f"{name:28}" for name in measures) + " posts"
    for name, row in rows.items():
        cells = [
            f"{1000 * row[m].value:.1f}" if name == OWN else _thousandths(row[m].change) for m in measures
        ]
        yield f"{name:10} " + " ".join(f"{cell:28}" for cell in cells) + f" {row['confidence'].posts}"


def _thousandths(change: Interval) -> str:
    if not math.isfinite(change.value):
        return "–"
    value, low, high = (f"{1000 * part:+.2f}" for part in change)
    return f"{value} [{low}, {high}]"


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield f"{_HOLDS[verdict.holds]}: {verdict.claim}"
    yield from (f"    {name:28} {_figure(value)}" for name, value in verdict.figures.items())


def _figure(value: Interval) -> str:
    if not math.isfinite(value.value):
        return "–"
    if not math.isfinite(value.low):
        return f"{100 * value.value:g} % of posts"
    return f"{value.value:+.5f} [{value.low:+.5f}, {value.high:+.5f}]"


def _signed(value: Difference) -> str:
    return f"{100 * value.value:+.2f} [{100 * value.low:+.2f}, {100 * value.high:+.2f}]"


def _percent(value: Interval) -> str:
    return f"{_number(value.value)} [{_number(value.low)}–{_number(value.high)}]"


def _number(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "–"
