"""Calibration of a tagger on labelled posts, and what it says of each entity then.

The posts are halved. On the first half a method fits confidences; on the second, thresholds and lines of
sets are found and calibration is measured; sets are measured on the first again, where their lines are
unknown. For a predicted span the answers are its possible types and "none", that no entity has exactly
these borders; the CRF gives the probability of each.

It does not know files.

Shape letters: W words, K tags, S predicted spans, C answers (types and none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.errors import DataError
from twofold.evaluation.calibration import calibration_error_by_chance, calibration_figures
from twofold.runtime.decoding import ChainDecoder, TagSpan
from twofold.runtime.reading import Reading
from twofold.trust.calibrated import Calibration
from twofold.trust.conformal import Lines, SetFigures, fit_lines, set_figures
from twofold.trust.halves import SEED, first_half
from twofold.trust.isotonic import Isotonic, fit_isotonic
from twofold.trust.risk import Outcomes, RiskControl, control, risk_table
from twofold.trust.temperature import fit_temperature

Floats = NDArray[np.float64]
Emissions = Sequence[NDArray[np.floating]]
Spans = Sequence[Sequence[TagSpan]]

NONE = "none"
"""The answer that no entity has exactly these borders."""
LEAST = 30
"""Predictions a half must hold."""
LEAST_OF_TYPE = 50
"""Predictions of a type, in the first half, for a temperature of its own."""
ERRORS, LEVELS = (0.02, 0.05, 0.10, 0.20), (0.80, 0.90, 0.95)
"""What is reported of thresholds and sets."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Posts with what a decoder finds in them, and the truth.

    Attributes:
        decoder: the CRF.
        emissions: (W, K) a post.
        spans: found in each post, S in all.
        truth: (S,) number of the true answer: a type of the decoder's, or one past them for `NONE`.
        right: (S,) True where type and borders are right.
        post: (S,) number of the post.
    """

    decoder: ChainDecoder
    emissions: list[NDArray[np.floating]]
    spans: list[list[TagSpan]]
    truth: NDArray[np.int64]
    right: NDArray[np.bool_]
    post: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> Labelled:
        """Some of the posts."""
        posts, mine = np.flatnonzero(chosen).tolist(), chosen[self.post]
        return Labelled(
            self.decoder,
            [self.emissions[i] for i in posts],
            [self.spans[i] for i in posts],
            self.truth[mine],
            self.right[mine],
            self.post[mine],
        )

    def confidences(self, calibration: Calibration) -> Floats:
        """(S,)."""
        parts = span_confidences(calibration, self.decoder, self.emissions, self.spans)
        return np.concatenate([np.zeros(0), *parts])

    def chances(self, calibration: Calibration) -> Floats:
        """(S, C), see `answer_chances`."""
        return np.concatenate(answer_chances(calibration, self.decoder, self.emissions, self.spans))

    def of_type(self, kind: str) -> tuple[list[list[TagSpan]], NDArray[np.bool_]]:
        """Spans of one type in each post, and which of them are right."""
        mine = np.array([span.type == kind for row in self.spans for span in row], bool)
        return [[span for span in row if span.type == kind] for row in self.spans], self.right[mine]


def labelled(decoder: ChainDecoder, readings: Sequence[Reading]) -> Labelled:
    """Decode posts and look up the truth of every span found: gold entities with its borders."""
    emissions: list[NDArray[np.floating]] = [reading.emissions for reading in readings]
    spans = decoder.decode(emissions)
    truth = [
        _answer(decoder, reading, span) for reading, row in zip(readings, spans, strict=True) for span in row
    ]
    found = [decoder.types.index(span.type) for row in spans for span in row]
    post = np.repeat(np.arange(len(spans)), [len(row) for row in spans])
    answers = np.array(truth, np.int64)
    return Labelled(decoder, emissions, spans, answers, answers == np.array(found, np.int64), post)


def _answer(decoder: ChainDecoder, reading: Reading, span: TagSpan) -> int:
    start, end = reading.words[span.start][0], reading.words[span.end - 1][1]
    gold = [e.type for e in reading.post.entities or () if (e.start, e.end) == (start, end)]
    known = [kind for kind in gold if kind in decoder.types]
    if span.type in known:
        return decoder.types.index(span.type)
    return decoder.types.index(known[0]) if known else len(decoder.types)


# --- applied -----------------------------------------------------------------------------------------


def span_confidences(
    calibration: Calibration, decoder: ChainDecoder, emissions: Emissions, spans: Spans
) -> list[Floats]:
    """Calibrated confidence of each span of each post."""
    result = [np.zeros(len(row)) for row in spans]
    for temperature, mine, asked in _by_temperature(calibration, spans):
        found = decoder.confidences(emissions, asked, temperature)
        for values, places, part in zip(result, mine, found, strict=True):
            values[places] = part
    return [calibration.isotonic(values) for values in result] if calibration.isotonic else result


def answer_chances(
    calibration: Calibration, decoder: ChainDecoder, emissions: Emissions, spans: Spans
) -> list[Floats]:
    """Probability of each answer for each span of each post, (S, C); rows sum to 1.

    That of the type found is the calibrated confidence; the others keep their proportions.
    """
    result = [np.zeros((len(row), len(decoder.types) + 1)) for row in spans]
    for temperature, mine, asked in _by_temperature(calibration, spans):
        tables = decoder.type_chances(emissions, [[span[:2] for span in row] for row in asked], temperature)
        for values, places, table in zip(result, mine, tables, strict=True):
            values[places] = np.c_[table, np.maximum(0.0, 1 - table.sum(1))]
    if calibration.isotonic:
        for values, row in zip(result, spans, strict=True):
            _put(values, [decoder.types.index(span.type) for span in row], calibration.isotonic)
    return result


def _by_temperature(
    calibration: Calibration, spans: Spans
) -> Iterator[tuple[float, list[list[int]], list[list[TagSpan]]]]:
    """Each temperature with the places of its spans in each post, and the spans."""
    heats = [[calibration.temperature_of(span.type) for span in row] for row in spans]
    for temperature in sorted({heat for row in heats for heat in row}):
        mine = [[i for i, heat in enumerate(row) if heat == temperature] for row in heats]
        yield (
            temperature,
            mine,
            [[row[i] for i in places] for row, places in zip(spans, mine, strict=True)],
        )


def _put(chances: Floats, found: Sequence[int], isotonic: Isotonic) -> None:
    """Map the chance of what was found, and stretch the others of its row to fill up to 1."""
    at = np.arange(len(chances)), np.array(found, np.int64)
    before = chances[at]
    after = isotonic(before)
    rest = np.where(before < 1, (1 - after) / np.maximum(1 - before, 1e-300), 0.0)
    chances *= rest[:, None]
    chances[at] = after


def answer_sets(
    lines: Lines, chances: Floats, found: Sequence[int], level: float
) -> NDArray[np.bool_]:  # fmt: skip
    """Sets (S, C) that hold the true answer at this level; the type that was found always belongs."""
    sets = lines.sets(chances, level)
    sets[np.arange(len(sets)), np.array(found, np.int64)] = True
    return sets


# --- fitted ------------------------------------------------------------------------------------------


def one_temperature(data: Labelled) -> Calibration:
    """One temperature for all: the fewest data, and the best of the three on a thousand predictions."""

    def confidences(temperature: float) -> Floats:
        return data.confidences(Calibration(temperature))

    return Calibration(fit_temperature(confidences, data.right).temperature)


def temperature_by_type(data: Labelled) -> Calibration:
    """A temperature for each type with `LEAST_OF_TYPE` predictions; the others share one."""
    fitted = {}
    for kind in data.decoder.types:
        spans, right = data.of_type(kind)
        if len(right) >= LEAST_OF_TYPE:
            fitted[kind] = fit_temperature(
                lambda t, spans=spans: np.concatenate(  # type: ignore[misc]
                    data.decoder.confidences(data.emissions, spans, t)
                ),
                right,
            ).temperature
    return Calibration(one_temperature(data).temperature, fitted)


def temperature_then_isotonic(data: Labelled) -> Calibration:
    """One temperature, and an isotonic map after it."""
    first = one_temperature(data)
    return Calibration(first.temperature, isotonic=fit_isotonic(data.confidences(first), data.right))


METHODS: Mapping[str, Callable[[Labelled], Calibration]] = {
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
        before: figures of the second half's confidences at temperature 1 (`calibration_figures`).
        after: as calibrated.
        ece_by_chance: what ``ece`` would be of exact confidences.
        risks: thresholds for the part of `ERRORS` that may be wrong.
        sets: sets on the first half, for each of `LEVELS`.
    """

    posts: tuple[int, int]
    predictions: tuple[int, int]
    before: Mapping[str, float]
    after: Mapping[str, float]
    ece_by_chance: float
    risks: tuple[RiskControl, ...]
    sets: Mapping[str, SetFigures]


def calibrate_entities(
    decoder: ChainDecoder,
    readings: Sequence[Reading],
    *,
    method: Callable[[Labelled], Calibration] = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, Measured]:
    """Fit everything on labelled posts, and measure it.

    Args:
        decoder: the CRF.
        readings: of labelled posts, some hundreds at least.
        method: one of `METHODS`.
        score: of the sets, see `conformal.SCORES`.
        seed: of the halves.

    Raises:
        DataError: too little is found in them.
    """
    halves = first_half([reading.post.id for reading in readings], seed)
    data = labelled(decoder, readings)
    first, second = data.part(halves), data.part(~halves)
    _check(first, second)
    fitted = method(first)
    lines = fit_lines(second.chances(fitted), second.truth, (*decoder.types, NONE), score)
    table = risk_table(_outcomes(first, fitted), _outcomes(second, fitted))
    whole = Calibration(fitted.temperature, fitted.temperatures, fitted.isotonic, table, lines)
    return whole, _measure(whole, first, second)


def _outcomes(data: Labelled, calibration: Calibration) -> Outcomes:
    return Outcomes(data.confidences(calibration), data.right, data.post)


def _check(first: Labelled, second: Labelled) -> None:
    fewest = min(len(first.right), len(second.right))
    if fewest < LEAST:
        raise DataError(
            f"the model finds {fewest} entities in one half of the posts",
            expected=f"{LEAST} at least, and some hundreds for close figures",
            do="calibrate on more labelled posts",
        )


def _measure(calibration: Calibration, first: Labelled, second: Labelled) -> Measured:
    raw, now = (second.confidences(c) for c in (Calibration(1.0), calibration))
    assert calibration.risk is not None
    assert calibration.sets is not None
    chances = first.chances(calibration)
    types = first.decoder.types
    found = [types.index(span.type) for row in first.spans for span in row]
    return Measured(
        posts=(len(first.spans), len(second.spans)),
        predictions=(len(first.right), len(second.right)),
        before=calibration_figures(raw, second.right),
        after=calibration_figures(now, second.right),
        ece_by_chance=calibration_error_by_chance(now),
        risks=tuple(control(calibration.risk, error) for error in ERRORS),
        sets={
            f"{level:.2f}": set_figures(answer_sets(calibration.sets, chances, found, level), first.truth)
            for level in LEVELS
        },
    )
