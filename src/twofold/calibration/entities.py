"""Calibration of a tagger on labelled posts, and the calibrated probabilities of its entities.

The classes of a predicted span are its possible types and "none": no entity has exactly these boundaries. The
CRF gives the probability of each. What is fitted on which split: see `calibrate`.

This module does not know files.

Shape letters: W words, K tags, S predicted spans, C classes (types and none).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibrate import CalibrationReport, calibrate
from twofold.calibration.calibration import Calibration
from twofold.calibration.isotonic import apply_isotonic
from twofold.calibration.methods import Method, one_temperature
from twofold.calibration.splits import SEED
from twofold.crf import ChainDecoder, TagSpan
from twofold.inference.encode import EncodedPost

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
Emissions = Sequence[NDArray[np.floating]]
Spans = Sequence[Sequence[TagSpan]]

NONE = "none"
"""The class of spans whose boundaries are not those of any gold entity."""


@dataclass(frozen=True, slots=True)
class LabelledSpans:
    """Predicted spans with their labels; see `LabelledPredictions`.

    Attributes:
        decoder: the CRF.
        emissions: (W, K) for each post.
        spans: predicted spans of each post, S in total.
        labels: (S,) index of the true class: one of the decoder's types, or the index after them for `NONE`.
        right: (S,) True where type and boundaries are right.
        post: (S,) index of the post.
    """

    decoder: ChainDecoder
    emissions: list[NDArray[np.floating]]
    spans: list[list[TagSpan]]
    labels: Integers
    right: Flags
    post: Integers

    @property
    def classes(self) -> tuple[str, ...]:
        """The types, then `NONE`."""
        return *self.decoder.types, NONE

    @property
    def predicted(self) -> Integers:
        """(S,) index of the predicted type."""
        return np.array([self.decoder.types.index(span.type) for row in self.spans for span in row], np.int64)

    @property
    def posts(self) -> int:
        """Number of posts."""
        return len(self.spans)

    def select_posts(self, mask: Flags) -> LabelledSpans:
        """The spans of the posts that ``mask`` (posts,) selects."""
        posts = np.flatnonzero(mask).tolist()
        emissions, spans = [self.emissions[i] for i in posts], [self.spans[i] for i in posts]
        return self._select(emissions, spans, mask[self.post])

    def of_class(self, number: int) -> LabelledSpans:
        """The spans of one predicted type, given its index."""
        kind = self.classes[number]
        spans = [[span for span in row if span.type == kind] for row in self.spans]
        return self._select(self.emissions, spans, self.predicted == number)

    def _select(
        self, emissions: list[NDArray[np.floating]], spans: list[list[TagSpan]], mask: Flags
    ) -> LabelledSpans:
        return LabelledSpans(
            self.decoder, emissions, spans, self.labels[mask], self.right[mask], self.post[mask]
        )

    def confidences(self, calibration: Calibration) -> Floats:
        """Calibrated confidence of each span, (S,)."""
        parts = span_confidences(calibration, self.decoder, self.emissions, self.spans)
        return np.concatenate([np.zeros(0), *parts])

    def probabilities(self, calibration: Calibration) -> Floats:
        """Probability of each class, (S, C), see `class_probabilities`."""
        return np.concatenate(class_probabilities(calibration, self.decoder, self.emissions, self.spans))


def label_spans(decoder: ChainDecoder, posts: Sequence[EncodedPost]) -> LabelledSpans:
    """Decode posts and label every predicted span by the gold entity with its boundaries."""
    emissions: list[NDArray[np.floating]] = [post.emissions for post in posts]
    spans = decoder.decode(emissions)
    labels = np.array(
        [_label(decoder, post, span) for post, row in zip(posts, spans, strict=True) for span in row],
        np.int64,
    )
    predicted = [decoder.types.index(span.type) for row in spans for span in row]
    number = np.repeat(np.arange(len(spans)), [len(row) for row in spans])
    return LabelledSpans(decoder, emissions, spans, labels, labels == np.array(predicted, np.int64), number)


def _label(decoder: ChainDecoder, post: EncodedPost, span: TagSpan) -> int:
    start, end = post.words[span.start][0], post.words[span.end - 1][1]
    gold = [e.type for e in post.post.entities or () if (e.start, e.end) == (start, end)]
    known = [kind for kind in gold if kind in decoder.types]
    if span.type in known:
        return decoder.types.index(span.type)
    return decoder.types.index(known[0]) if known else len(decoder.types)


# --- applying a calibration --------------------------------------------------------------------------


def span_confidences(
    calibration: Calibration, decoder: ChainDecoder, emissions: Emissions, spans: Spans
) -> list[Floats]:
    """Calibrated confidence of each span of each post."""
    result = [np.zeros(len(row)) for row in spans]
    for temperature, indices, group in _by_temperature(calibration, spans):
        found = decoder.confidences(emissions, group, temperature)
        for values, at, part in zip(result, indices, found, strict=True):
            values[at] = part
    return [calibration.isotonic(values) for values in result] if calibration.isotonic else result


def class_probabilities(
    calibration: Calibration, decoder: ChainDecoder, emissions: Emissions, spans: Spans
) -> list[Floats]:
    """Probability of each class for each span of each post, (S, C); rows sum to 1.

    The probability of the predicted type is the calibrated confidence; the others keep their proportions.
    """
    result = [np.zeros((len(row), len(decoder.types) + 1)) for row in spans]
    for temperature, indices, group in _by_temperature(calibration, spans):
        boundaries = [[span[:2] for span in row] for row in group]
        tables = decoder.type_probabilities(emissions, boundaries, temperature)
        for values, at, table in zip(result, indices, tables, strict=True):
            values[at] = np.c_[table, np.maximum(0.0, 1 - table.sum(1))]
    if calibration.isotonic:
        for values, row in zip(result, spans, strict=True):
            apply_isotonic(values, [decoder.types.index(span.type) for span in row], calibration.isotonic)
    return result


def _by_temperature(
    calibration: Calibration, spans: Spans
) -> Iterator[tuple[float, list[list[int]], list[list[TagSpan]]]]:
    """Each temperature with the spans of each post that use it: their indices in the post, and the spans."""
    temperatures = [[calibration.temperature_of(span.type) for span in row] for row in spans]
    for temperature in sorted({value for row in temperatures for value in row}):
        indices = [[i for i, value in enumerate(row) if value == temperature] for row in temperatures]
        yield temperature, indices, [[row[i] for i in at] for row, at in zip(spans, indices, strict=True)]


# --- fitting a calibration ---------------------------------------------------------------------------


def calibrate_entities(
    decoder: ChainDecoder,
    posts: Sequence[EncodedPost],
    *,
    method: Method = one_temperature,
    score: str = "lac",
    seed: int = SEED,
) -> tuple[Calibration, CalibrationReport]:
    """Fit a calibration on labelled posts, and measure it.

    Args:
        decoder: the CRF; its decision rule is kept.
        posts: at least some hundred labelled posts.
        method: one of `methods.METHODS`.
        score: nonconformity score of the prediction sets, one of `conformal.SCORES`.
        seed: seed of the splits.

    Raises:
        DataError: too few entities are predicted.
    """
    ids, data = [post.post.id for post in posts], label_spans(decoder, posts)
    calibration, report = calibrate(data, ids, "entities", method=method, score=score, seed=seed)
    return replace(calibration, decision_rule=decoder.decision_rule), report
