"""Time alternatives alternately, round by round, so that other load on the machine affects all of them.

A ratio is computed within each round; its median and quartiles are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import NamedTuple

Work = Callable[[], object]


class Ratio(NamedTuple):
    """One comparison.

    Attributes:
        what: what was timed.
        against: what it was compared with.
        value: median over rounds of the ratio of the two times.
        low: lower quartile. high: upper quartile.
        seconds: median time of what was timed.
        note: remark for the table; may be empty.
    """

    what: str
    against: str
    value: float
    low: float
    high: float
    seconds: float
    note: str = ""


def interleave(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of each work in each round, after one warm-up round.

    Args:
        works: callables by name.
        rounds: measured rounds; every other one runs in reverse order.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        order = list(works) if number % 2 else list(works)[::-1]
        for name in order:
            begin = time.perf_counter()
            works[name]()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def ratio(seconds: Mapping[str, list[float]], what: str, against: str, note: str = "") -> Ratio:
    """Ratio of the time of ``what`` to that of ``against``."""
    values = [a / b for a, b in zip(seconds[what], seconds[against], strict=True)]
    low, _, high = quantiles(values, n=4) if len(values) > 1 else values * 3
    return Ratio(what, against, median(values), low, high, median(seconds[what]), note)
