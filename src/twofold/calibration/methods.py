"""Calibration of anything that is predicted out of several answers, and what it says of each prediction then.

Labelled predictions come in two halves that share no post. On the first a method fits confidences; on the
second, thresholds and lines of sets are found and calibration is measured; sets are measured on the first
again, where their lines are unknown.

It does not know what is predicted, models or files.

Shape letters: S predictions, C answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import Calibration
from twofold.calibration.conformal import Lines, SetFigures, fit_lines, set_figures
from twofold.calibration.isotonic import Isotonic, fit_isotonic
from twofold.calibration.risk_control import Outcomes, RiskControl, RiskTable, control, risk_table
from twofold.calibration.splits import SEED, first_half
from twofold.calibration.temperature import fit_temperature
from twofold.errors import DataError
from twofold.evaluation.calibration_error import calibration_error_if_calibrated, calibration_metrics

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

LEAST = 30
"""Predictions a half must hold."""
LEAST_OF_TYPE = 50
"""Predictions of an answer, in the first half, for a temperature of its own."""
ERRORS, LEVELS = (0.02, 0.05, 0.10, 0.20), (0.80, 0.90, 0.95)
"""What is reported of thresholds and sets."""

L = TypeVar("L", bound="Labelled")


class Labelled(Protocol):
    """S predictions whose truth is known."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the C answers; of some it may be that they are never predicted."""

    @property
    def found(self) -> Integers:
        """(S,) number of the answer that was predicted."""

    @property
    def truth(self) -> Integers:
        """(S,) number of the true answer."""

    @property
    def right(self) -> Flags:
        """(S,) True where the prediction is right."""

    @property
    def post(self) -> Integers:
        """(S,) number of the post."""

    @property
    def posts(self) -> int:
        """How many posts there are, those without predictions included."""

    def part(self: L, chosen: Flags) -> L:
        """Some of the posts."""

    def of_answer(self: L, number: int) -> L:
        """The predictions of one answer."""

    def confidences(self, calibration: Calibration) -> Floats:
        """(S,)."""

    def chances(self, calibration: Calibration) -> Floats:
        """Probability of each answer, (S, C); rows sum to 1. That of the predicted one is the confidence."""


# --- fitted ------------------------------------------------------------------------------------------


def one_temperature(data: Labelled) -> Calibration:
    """One temperature for all: the fewest data, and the best of the three on a thousand predictions."""

    def confidences(temperature: float) -> Floats:
        return data.confidences(Calibration(temperature))

    return Calibration(fit_temperature(confidences, data.right).temperature)


def temperature_by_type(data: Labelled) -> Calibration:
    """A temperature for each answer with `LEAST_OF_TYPE` predictions; the others share one."""
    often = np.flatnonzero(np.bincount(data.found, minlength=len(data.answers)) >= LEAST_OF_TYPE).tolist()
    fitted = {data.answers[number]: one_temperature(data.of_answer(number)).temperature for number in often}
    return Calibration(one_temperature(data).temperature, fitted)


def temperature_then_isotonic(data: Labelled) -> Calibration:
    """One temperature, and an isotonic map after it."""
    first = one_temperature(data)
    return Calibration(first.temperature, isotonic=fit_isotonic(data.confidences(first), data.right))


Method = Callable[[Labelled], Calibration]
METHODS: Mapping[str, Method] = {
    "temperature": one_temperature,
    "types": temperature_by_type,
    "isotonic": temperature_then_isotonic,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a calibration turned out to be.

    Attributes:
        posts: in the first half and in the second.
        predictions: likewise.
        before: figures of the second half's confidences at temperature 1 (`calibration_metrics`).
        after: as calibrated.
        ece_if_calibrated: what ``ece`` would be of exact confidences.
        risks: thresholds for the part of `ERRORS` that may be wrong.
        sets: sets on the first half, for each of `LEVELS`.
    """

    posts: tuple[int, int]
    predictions: tuple[int, int]
    before: Mapping[str, float]
    after: Mapping[str, float]
    ece_if_calibrated: float
    risks: tuple[RiskControl, ...]
    sets: Mapping[str, SetFigures]


def calibrate(
    data: Labelled,
    posts: Sequence[str | int],
    what: str,
    *,
    method: Method = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, Measured]:
    """Fit everything on labelled predictions, and measure it.

    Args:
        data: predictions on some hundred posts at least.
        posts: what tells each post from others; equal ones fall into one half.
        what: is predicted, in the plural.
        method: one of `METHODS`.
        score: of the sets, see `conformal.SCORES`.
        seed: of the halves.

    Raises:
        DataError: too little is found in them.
    """
    halves = first_half(posts, seed)
    first, second = data.part(halves), data.part(~halves)
    _check(first, second, what)
    fitted = method(first)
    lines = fit_lines(second.chances(fitted), second.truth, data.answers, score)
    table = risk_table(_outcomes(first, fitted), _outcomes(second, fitted))
    whole = Calibration(fitted.temperature, fitted.temperatures, fitted.isotonic, table, lines)
    return whole, _measure(whole, table, lines, first, second)


def _outcomes(data: Labelled, calibration: Calibration) -> Outcomes:
    return Outcomes(data.confidences(calibration), data.right, data.post)


def _check(first: Labelled, second: Labelled, what: str) -> None:
    fewest = min(len(first.right), len(second.right))
    if fewest < LEAST:
        raise DataError(
            f"the model finds {fewest} {what} in one half of the posts",
            expected=f"{LEAST} at least, and some hundreds for close figures",
            do="calibrate on more labelled posts",
        )


def _measure(
    calibration: Calibration, table: RiskTable, lines: Lines, first: Labelled, second: Labelled
) -> Measured:
    raw, now = (second.confidences(c) for c in (Calibration(1.0), calibration))
    chances = first.chances(calibration)
    return Measured(
        posts=(first.posts, second.posts),
        predictions=(len(first.right), len(second.right)),
        before=calibration_metrics(raw, second.right),
        after=calibration_metrics(now, second.right),
        ece_if_calibrated=calibration_error_if_calibrated(now),
        risks=tuple(control(table, error) for error in ERRORS),
        sets={
            f"{level:.2f}": set_figures(answer_sets(lines, chances, first.found, level), first.truth)
            for level in LEVELS
        },
    )


# --- applied -----------------------------------------------------------------------------------------


def put_calibrated(chances: Floats, found: Sequence[int] | Integers, isotonic: Isotonic) -> None:
    """Map the chance of what was found, in place, and stretch the others of its row to fill up to 1.

    Args:
        chances: (S, C), rows sum to 1.
        found: (S,) number of the answer found.
        isotonic: the map.
    """
    at = np.arange(len(chances)), np.asarray(found, np.int64)
    before = chances[at]
    after = isotonic(before)
    rest = np.where(before < 1, (1 - after) / np.maximum(1 - before, 1e-300), 0.0)
    chances *= rest[:, None]
    chances[at] = after


def answer_sets(lines: Lines, chances: Floats, found: Sequence[int] | Integers, level: float) -> Flags:
    """Sets (S, C) that hold the true answer at this level; the one that was found always belongs."""
    sets = lines.sets(chances, level)
    sets[np.arange(len(sets)), np.asarray(found, np.int64)] = True
    return sets
