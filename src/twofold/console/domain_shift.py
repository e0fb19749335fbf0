"""How well a model notices foreign data, as lines of text; the rest is in the JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator

from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.domain_shift import Shift, Side


def shift_lines(shift: Shift) -> Iterator[str]:
    """Per cent; in brackets what other such posts may give."""
    yield f"foreign   {shift.name}"
    yield f"{'':12}{shift.items:>9}    found     F1  right  confidence    ECE"
    for name, side in (("one's own", shift.own), ("foreign", shift.foreign)):
        yield f"{name:12}{_side(side)}"
    yield ""
    width = max([14, *(len(name) for name in shift.measures)])
    yield f"{'told by':{width}} AUROC [95 %]        AUPR (chance)   FPR95   own foreign"
    for name, told in shift.measures.items():
        aupr = f"{_number(told.aupr.value)} ({_number(told.by_chance)})"
        fpr = _number(told.fpr95.value)
        row = f"{_interval(told.auroc):19} {aupr:13} {fpr:>7} {told.own:5} {told.foreign:7}"
        yield f"{_words(name):{width}} {row}"


def _words(name: str) -> str:
    """Doubt: what is measured of posts is 1 − confidence."""
    return name.replace("_", " ").replace(" confidence", " doubt")


def _side(side: Side) -> str:
    figures = f"{_number(side.f1):>7}{_number(side.accuracy):>7}{_number(side.confidence):>12}"
    return f"{side.items:9}{side.found:9}{figures}{_number(side.ece):>7}"


def _interval(figure: Interval) -> str:
    return f"{_number(figure.value):>5} [{_number(figure.low)}–{_number(figure.high)}]"


def _number(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "–"
