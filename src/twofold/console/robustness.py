"""Prints how perturbed pictures change predictions; all metrics are in the JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from twofold.console.number_format import percent, percent_interval
from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.paired_bootstrap import Difference
from twofold.robustness.condition_results import ORIGINAL
from twofold.robustness.report import LEAST_POSTS, Change, Check, ConditionMetrics, RobustnessReport
from twofold.scoring.robustness import RobustnessResult

_HOLDS = {True: "holds", False: "DOES NOT HOLD", None: "undecided on these posts"}


def robustness_lines(result: RobustnessResult) -> Iterator[str]:
    """The main metrics, per cent."""
    sample = result.sample
    left = (sample.without_picture, sample.unreadable, sample.not_in_sample)
    yield f"robustness to pictures: {len(sample.posts)} posts"
    yield "left out: {} without a picture, {} with an unreadable one, {} not in the sample".format(*left)
    yield "changes are from the original picture; [95 % over posts]; terms: docs/confidence.md"
    for what, report in result.reports.items():
        yield ""
        yield from _report(what, report)
    yield ""


def _report(what: str, report: RobustnessReport) -> Iterator[str]:
    metrics = report.conditions
    title = "entities" if what == "entities" else "relations of gold pairs"
    yield f"{title}, {report.posts} posts, per cent"
    scores = f"{'F1':>5} {'change':20}  {'strict F1':9} {'change':8}"
    yield f"{'picture':11} {scores} {'flipped':17} {'changed':12} picture share"
    yield from (f"{name:11} {_outcome(name, metrics[name])}" for name in metrics)
    yield ""
    yield f"uncertainty of the same items ({_SAME[what]}), mean over posts, times 1000"
    yield from _uncertainties({name: condition.same_items for name, condition in metrics.items()})
    yield ""
    yield f"uncertainty of the {what} predicted under each condition, times 1000"
    yield from _uncertainties({name: condition.predicted for name, condition in metrics.items()})
    yield ""
    apart = (f"{name} {percent_interval(value, width=0)}" for name, value in report.mismatch_auroc.items())
    yield f"AUROC of the picture's own uncertainty as a detector of mismatched pictures: {', '.join(apart)}"
    if report.posts < LEAST_POSTS:
        yield f"checks of means and of F1 need {LEAST_POSTS} posts"
    for check in report.checks.values():
        yield from _check(check)


_SAME = {
    "entities": "entities predicted with the original picture",
    "relations": "every gold pair",
}


def _outcome(name: str, metrics: ConditionMetrics) -> str:
    own = "–" if metrics.strict_f1 is None else f"{100 * metrics.strict_f1:.2f}"
    cells = [f"{'–':20} ", f"{own:9}", f"{'–':8}", f"{'–':17}", f"{'–':12}"]
    if name != ORIGINAL:
        strict = metrics.strict_f1_change
        cells = [
            f"{_signed(metrics.f1_change):20} ",
            f"{own:9}",
            f"{'–' if strict is None else f'{100 * strict.value:+.2f}':8}",
            f"{percent_interval(metrics.flipped, width=0):17}",
            f"{percent(metrics.changed.value):12}",
        ]
    return " ".join([f"{100 * metrics.f1:5.2f}", *cells, percent(metrics.share.value)])


def _uncertainties(rows: Mapping[str, Mapping[str, Change]]) -> Iterator[str]:
    measures = ("aleatoric", "epistemic", "confidence")
    yield f"{'picture':11} " + " ".join(f"{name:28}" for name in measures) + " posts"
    for name, row in rows.items():
        cells = [
            f"{1000 * row[m].value:.1f}" if name == ORIGINAL else _thousandths(row[m].change)
            for m in measures
        ]
        yield f"{name:11} " + " ".join(f"{cell:28}" for cell in cells) + f" {row['confidence'].posts}"


def _thousandths(change: Interval) -> str:
    if not math.isfinite(change.value):
        return "–"
    value, low, high = (f"{1000 * part:+.2f}" for part in change)
    return f"{value} [{low}, {high}]"


def _check(check: Check) -> Iterator[str]:
    yield f"{_HOLDS[check.holds]}: {check.claim}"
    yield from (f"    {name:28} {_interval(value)}" for name, value in check.metrics.items())


def _interval(value: Interval) -> str:
    if not math.isfinite(value.value):
        return "–"
    if not math.isfinite(value.low):
        return f"{100 * value.value:g} % of posts"
    return f"{value.value:+.5f} [{value.low:+.5f}, {value.high:+.5f}]"


def _signed(value: Difference) -> str:
    return f"{100 * value.value:+.2f} [{100 * value.low:+.2f}, {100 * value.high:+.2f}]"
