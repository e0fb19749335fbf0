"""Calibration of a tagger on labelled posts, and what it says of each entity then.

For a predicted span the answers are its possible types and "none", that no entity has exactly these borders;
the CRF gives the probability of each. What is fitted and on which half: see `fitting`.

It does not know files.

Shape letters: W words, K tags, S predicted spans, C answers (types and none).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import Calibration
from twofold.calibration.methods import Measured, Method, calibrate, one_temperature, put_calibrated
from twofold.calibration.splits import SEED
from twofold.crf import ChainDecoder, TagSpan
from twofold.inference.encode import EncodedPost

Floats = NDArray[np.float64]
Emissions = Sequence[NDArray[np.floating]]
Spans = Sequence[Sequence[TagSpan]]

NONE = "none"
"""The answer that no entity has exactly these borders."""


@dataclass(frozen=True, slots=True)
class LabelledSpans:
    """Posts with what a decoder finds in them, and the truth; see `fitting.Labelled`.

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

    @property
    def answers(self) -> tuple[str, ...]:
        """See `fitting.Labelled`."""
        return *self.decoder.types, NONE

    @property
    def found(self) -> NDArray[np.int64]:
        """(S,) number of the type."""
        return np.array([self.decoder.types.index(span.type) for row in self.spans for span in row], np.int64)

    @property
    def posts(self) -> int:
        """How many."""
        return len(self.spans)

    def part(self, chosen: NDArray[np.bool_]) -> LabelledSpans:
        """Some of the posts."""
        posts = np.flatnonzero(chosen).tolist()
        emissions, spans = [self.emissions[i] for i in posts], [self.spans[i] for i in posts]
        return self._only(emissions, spans, chosen[self.post])

    def of_answer(self, number: int) -> LabelledSpans:
        """Spans of one type."""
        kind = self.answers[number]
        spans = [[span for span in row if span.type == kind] for row in self.spans]
        return self._only(self.emissions, spans, self.found == number)

    def _only(
        self,
        emissions: list[NDArray[np.floating]],
        spans: list[list[TagSpan]],
        mine: NDArray[np.bool_],
    ) -> LabelledSpans:
        return LabelledSpans(
            self.decoder, emissions, spans, self.truth[mine], self.right[mine], self.post[mine]
        )

    def confidences(self, calibration: Calibration) -> Floats:
        """(S,)."""
        parts = span_confidences(calibration, self.decoder, self.emissions, self.spans)
        return np.concatenate([np.zeros(0), *parts])

    def chances(self, calibration: Calibration) -> Floats:
        """(S, C), see `answer_chances`."""
        return np.concatenate(answer_chances(calibration, self.decoder, self.emissions, self.spans))


def labelled(decoder: ChainDecoder, readings: Sequence[EncodedPost]) -> LabelledSpans:
    """Decode posts and look up the truth of every span found: gold entities with its borders."""
    emissions: list[NDArray[np.floating]] = [reading.emissions for reading in readings]
    spans = decoder.decode(emissions)
    truth = [
        _answer(decoder, reading, span) for reading, row in zip(readings, spans, strict=True) for span in row
    ]
    found = [decoder.types.index(span.type) for row in spans for span in row]
    post = np.repeat(np.arange(len(spans)), [len(row) for row in spans])
    answers = np.array(truth, np.int64)
    return LabelledSpans(decoder, emissions, spans, answers, answers == np.array(found, np.int64), post)


def _answer(decoder: ChainDecoder, reading: EncodedPost, span: TagSpan) -> int:
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
        tables = decoder.type_probabilities(
            emissions, [[span[:2] for span in row] for row in asked], temperature
        )
        for values, places, table in zip(result, mine, tables, strict=True):
            values[places] = np.c_[table, np.maximum(0.0, 1 - table.sum(1))]
    if calibration.isotonic:
        for values, row in zip(result, spans, strict=True):
            put_calibrated(values, [decoder.types.index(span.type) for span in row], calibration.isotonic)
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


# --- fitted ------------------------------------------------------------------------------------------


def calibrate_entities(
    decoder: ChainDecoder,
    readings: Sequence[EncodedPost],
    *,
    method: Method = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, Measured]:
    """Fit everything on labelled posts, and measure it.

    Args:
        decoder: the CRF; what it tells stays as it is.
        readings: of labelled posts, some hundreds at least.
        method: one of `fitting.METHODS`.
        score: of the sets, see `conformal.SCORES`.
        seed: of the halves.

    Raises:
        DataError: too little is found in them.
    """
    posts = [reading.post.id for reading in readings]
    data = labelled(decoder, readings)
    fitted, measured = calibrate(data, posts, "entities", method=method, score=score, seed=seed)
    return replace(fitted, decision_rule=decoder.decision_rule), measured
