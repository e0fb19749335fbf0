"""Binomial distribution function and the Clopper–Pearson upper bound, without SciPy.

Both use the regularised incomplete beta function, computed by its continued fraction (DLMF 8.17.22, modified
Lentz). Counts may be fractional, for effective sample sizes (see `risk_control`).
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY, _STEPS = 1e-300, 10_000


@lru_cache(1 << 15)  # the search for an achievable error rate repeats calls
def binomial_cdf(errors: float, trials: float, rate: float) -> float:
    """P(X ≤ errors) for X ~ Binomial(trials, rate), in [0, 1].

    Args:
        errors: k in [0, n]. trials: n ≥ 0. rate: in [0, 1].
    """
    if errors >= trials:
        return 1.0
    return incomplete_beta(1 - rate, trials - errors, errors + 1)


def clopper_pearson_upper(errors: float, trials: float, confidence: float) -> float:
    """Clopper–Pearson upper confidence bound of an error rate; 1 without trials.

    At this rate the probability of at most ``errors`` errors is 1 − confidence.
    """
    if errors >= trials:
        return 1.0
    low, high = errors / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if binomial_cdf(errors, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b); a and b above 0."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges fast
        return 1 - incomplete_beta(1 - x, b, a)
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or _TINY)
    total = d
    for m in range(1, _STEPS):
        place = a + 2 * m
        even = m * (b - m) * x / ((place - 1) * place)
        odd = -(a + m) * (a + b + m) * x / (place * (place + 1))
        for step in (even, odd):
            d = 1 / ((1 + step * d) or _TINY)
            c = (1 + step / c) or _TINY
            total *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return total
