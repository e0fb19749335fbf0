"""A threshold under which, at a stated confidence, no more than a stated part of what is kept is wrong.

Learn-then-Test (Angelopoulos et al. 2022) with fixed-sequence testing. For each threshold of a grid there
is the hypothesis "of what is kept above it, more than ε is wrong"; its p-value is the exact binomial tail
P(Bin(n, ε) ≤ k) for k wrong of n kept (Clopper–Pearson turned round). Thresholds are tested from strict to
loose, each at the full 1 − confidence, and testing ends with the first that is not rejected: in an order
fixed beforehand, a false rejection needs the first true hypothesis to be rejected, so nothing is paid for
testing many. Two halves of held-out posts keep the order fixed beforehand: the first (scout) makes the grid
and says where to start, at its smallest p-value, for at the strictest thresholds there is too little to
reject anything with; the second alone is tested on. The confidences must be fitted on the first half, too.

What it promises: over the draw of the second half, with a probability of at least `confidence`, the part
that is wrong among all that will be kept is at most ε, on posts drawn as the held-out ones were. No
distribution is assumed. Predictions must be independent of each other; those of one post are not quite, so
counts are divided by the design effect 1 + ρ(Σ nᵢ²/n − 1) (Kish 1965; as Korn & Graubard 1998 do for
Clopper–Pearson), nᵢ kept in post i and ρ the correlation of errors within a post, estimated on the scout
half. With ρ = 0 the promise is exact, else approximate.

It does not know models, posts or spans.

Shape letters: S predictions, J thresholds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.binomial import at_most, upper_bound
from twofold.errors import ConfigError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

CONFIDENCE = 0.95
STEPS = 100
_FEASIBLE_STEP = 0.005
_SLACK = 1e-9  # equal confidences differ by less between batches and machines, and must not part there


class Outcomes(NamedTuple):
    """S predictions whose truth is known.

    Attributes:
        confidence: (S,).
        right: (S,) True where the prediction is right.
        post: (S,) number of the post; any whole numbers.
    """

    confidence: Floats
    right: Flags
    post: Integers


@dataclass(frozen=True, slots=True)
class RiskTable:
    """All that any stated error needs; small, so that it travels with a model.

    Attributes:
        threshold: (J,) falling; kept is what has at least this confidence.
        scout_kept: (J,) kept of the scout half. scout_errors: (J,) wrong of these.
        kept: (J,) kept of the half that is tested on. errors: (J,) wrong of these.
        squares: (J,) Σ over its posts of the square of how many are kept.
        correlation: ρ of errors within a post, in [0, 1], from the scout half.
    """

    threshold: Floats
    scout_kept: Floats
    scout_errors: Floats
    kept: Floats
    errors: Floats
    squares: Floats
    correlation: float

    def effective(self, place: int) -> tuple[float, float]:
        """Errors and predictions kept, divided by the design effect."""
        errors, kept = float(self.errors[place]), float(self.kept[place])
        if not kept:
            return 0.0, 0.0
        effect = 1 + self.correlation * (float(self.squares[place]) / kept - 1)
        return errors / effect, kept / effect


@dataclass(frozen=True, slots=True)
class RiskControl:
    """What came of a stated error.

    Attributes:
        error: ε, the part that may be wrong. confidence: of the promise.
        threshold: keep what has at least this confidence; None where no threshold can be promised.
        kept: predictions kept on the half tested on, at the threshold or, without one, where testing
            began. errors: wrong ones among them.
        coverage: part of the predictions that is kept.
        bound: upper bound on the part wrong, at the confidence.
        instead: where there is no threshold, what can be had for the smallest ε, in steps of half a per
            cent, that gives one; None where none does. Found by looking, so to be promised in earnest it
            wants new data.
        more_data: without a threshold, how many times as much held-out data would do, errors staying as
            frequent; None where they are too frequent for any amount.
    """

    error: float
    confidence: float
    threshold: float | None
    kept: int
    errors: int
    coverage: float
    bound: float
    instead: RiskControl | None = None
    more_data: float | None = None


def risk_table(scout: Outcomes, tested: Outcomes, steps: int = STEPS) -> RiskTable:
    """Count for a grid of thresholds.

    Args:
        scout: the half that confidences were fitted on.
        tested: the other half, with the same confidences.
        steps: thresholds at equal parts of the scout's predictions; the last keeps everything.
    """
    parts = np.arange(1, steps) / steps
    inner = np.quantile(scout.confidence, 1 - parts, method="higher") if len(scout.right) else np.zeros(0)
    thresholds = np.append(np.unique(inner)[::-1] - _SLACK, 0.0)
    scout_kept, scout_errors, _ = _counts(scout, thresholds)
    kept, errors, squares = _counts(tested, thresholds)
    return RiskTable(thresholds, scout_kept, scout_errors, kept, errors, squares, error_correlation(scout))


def _counts(outcomes: Outcomes, thresholds: Floats) -> tuple[Floats, Floats, Floats]:
    _, post = np.unique(outcomes.post, return_inverse=True)
    above = outcomes.confidence >= thresholds[:, None]  # (J, S)
    squares = np.array([(np.bincount(post[row]) ** 2).sum() for row in above], np.float64)
    return above.sum(1).astype(float), (above & ~outcomes.right).sum(1).astype(float), squares


def error_correlation(outcomes: Outcomes) -> float:
    """ρ in [0, 1]: how far the errors of a post go together, from the variance of their sums by post."""
    _, post = np.unique(outcomes.post, return_inverse=True)
    count, wrong = np.bincount(post), np.bincount(post, ~outcomes.right)
    n, posts = len(outcomes.right), len(count)
    rate = wrong.sum() / n if n else 0.0
    size = (count**2).sum() / n - 1 if n else 0.0
    if not 0 < rate < 1 or size <= 0:
        return 0.0
    variance = posts / (posts - 1) * ((wrong - rate * count) ** 2).sum() / n
    return float(np.clip((variance / (rate * (1 - rate)) - 1) / size, 0.0, 1.0))


def control(table: RiskTable, error: float, confidence: float = CONFIDENCE) -> RiskControl:
    """Find the loosest threshold that keeps the part wrong at or below ``error``.

    Raises:
        ConfigError: error or confidence do not lie between 0 and 1.
    """
    for name, value in (("error", error), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ConfigError(f"the {name} is {value}", expected="a number between 0 and 1")
    start, last = _tested(table, error, confidence)
    place = start if last is None else last
    kept, wrong = int(table.kept[place]), int(table.errors[place])
    return RiskControl(
        error=error,
        confidence=confidence,
        threshold=None if last is None else float(table.threshold[place]),
        kept=kept,
        errors=wrong,
        coverage=kept / float(table.kept[-1]) if table.kept[-1] else 0.0,
        bound=upper_bound(*table.effective(place), confidence),
        instead=None if last is not None else _instead(table, error, confidence),
        more_data=None if last is not None else _more_data(table, start, error, confidence),
    )


def _tested(table: RiskTable, error: float, confidence: float) -> tuple[int, int | None]:
    """Where testing starts, and the last threshold in unbroken line whose hypothesis falls."""
    scouts = zip(table.scout_errors.tolist(), table.scout_kept.tolist(), strict=True)
    start = int(np.argmin([at_most(k, n, error) if n else 1.0 for k, n in scouts]))
    last = None
    for place in range(start, len(table.threshold)):
        errors, kept = table.effective(place)
        if not kept or at_most(errors, kept, error) > 1 - confidence:
            break
        last = place
    return start, last


def _instead(table: RiskTable, error: float, confidence: float) -> RiskControl | None:
    first = math.floor(error / _FEASIBLE_STEP) + 1
    for step in range(first, round(1 / _FEASIBLE_STEP)):
        if _tested(table, step * _FEASIBLE_STEP, confidence)[1] is not None:
            return control(table, round(step * _FEASIBLE_STEP, 6), confidence)
    return None


def _more_data(table: RiskTable, place: int, error: float, confidence: float) -> float | None:
    errors, kept = table.effective(place)
    if not kept or errors / kept >= error:
        return None
    times = 1.0
    while at_most(errors * times, kept * times, error) > 1 - confidence:
        times *= 1.1
        if times > 1e6:
            return None
    return times
