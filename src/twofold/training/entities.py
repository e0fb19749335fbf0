"""The task of entities in a training: BIO tags of words under a CRF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from twofold.calibration.fit import CalibrationFit, fit_entities
from twofold.calibration.temperature import TemperatureFit, fit_on_spans
from twofold.calibration.write import card_record
from twofold.config import Config
from twofold.crf import TagSpan
from twofold.encoders.text import TextEncoder
from twofold.errors import DataError
from twofold.evaluation.spans import LenientAndStrictCounter, SpanScores
from twofold.heads.contract import Head
from twofold.heads.crf import CRF
from twofold.inference.encode import EncodedPost
from twofold.pipeline import Extractor
from twofold.posts import Post
from twofold.preprocessing.word_pieces import Pieces
from twofold.training.dev_scores import Score, span_f1
from twofold.training.examples import Example, labels_of, make_examples, tag_words
from twofold.training.loop import Tell
from twofold.training.metrics import (
    figures,
    open_uncalibrated,
    temperature_alone,
    write_calibration,
)
from twofold.training.task import Figures


class Entities:
    """See `Task`.

    Args:
        config: of the training. tell: gets lines of progress.
    """

    gold = "entities"
    score: Score = staticmethod(span_f1)

    def __init__(self, config: Config, tell: Tell) -> None:
        pass  # a tagger has no options of its own

    def prepare(self, posts: Sequence[Post]) -> list[Post]:
        """See `Task`."""
        return list(posts)

    def labels(self, posts: Sequence[Post]) -> list[str]:
        """See `Task`."""
        return labels_of(posts)

    def counts(self, posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
        """See `Task`; a CRF does not look at them."""
        return []

    def equip(self, text: TextEncoder) -> None:
        """See `Task`; nothing is needed."""

    def examples(
        self,
        posts: Sequence[Post],
        rows: Sequence[Mapping[str, int]],
        pieces: Pieces,
        labels: Sequence[str],
    ) -> list[Example]:
        """See `Task`."""
        return make_examples(posts, rows, pieces, labels)

    def lessons(self, posts: Sequence[Post]) -> list[Post]:
        """See `Task`; nothing beyond the gold."""
        return list(posts)

    def describe(self, posts: Sequence[Post]) -> dict[str, Any]:
        """See `Task`; the labels say it all."""
        return {}

    def write_head(self, head: Head, folder: Path) -> None:
        """Write ``decoder.safetensors``."""
        assert isinstance(head, CRF)
        moves, start, end = (x.detach().cpu().contiguous().numpy() for x in head.potentials())
        save_file({"transitions": moves, "start": start, "end": end}, folder / "decoder.safetensors")

    def measure(self, folder: Path, dev: Mapping[str, Sequence[Post]], train: Sequence[Post]) -> Figures:
        """See `Task`."""
        extractor = Extractor(open_uncalibrated(folder))
        readings = {name: list(extractor.encode(posts)) for name, posts in dev.items()}
        fitted = _fitted(extractor, readings)
        write_calibration(folder, fitted)
        scores = {name: score_readings(extractor, group) for name, group in readings.items()}
        return {"dev": scores, **card_record(fitted)}

    def headlines(self, dev: Figures) -> Iterator[str]:
        """See `Task`."""
        for name, score in dev.items():
            yield f"dev {name}: lenient F1 {score['lenient']['all']['f1']:.2f}"


def _fitted(extractor: Extractor, readings: Mapping[str, Sequence[EncodedPost]]) -> CalibrationFit:
    """Everything, or where dev is too small for halves a temperature on all of it; a training is not lost."""
    try:
        return fit_entities(extractor.tagger, readings)
    except DataError as error:
        every = [reading for group in readings.values() for reading in group]
        return temperature_alone(_fit(extractor, every), readings, error.what)


def _fit(extractor: Extractor, readings: Sequence[EncodedPost]) -> TemperatureFit | None:
    emissions = [reading.emissions for reading in readings]
    if not any(extractor.decoder.decode(emissions)):
        return None
    return fit_on_spans(extractor.decoder, emissions, [_gold(extractor, reading) for reading in readings])


def _gold(extractor: Extractor, reading: EncodedPost) -> list[TagSpan]:
    labels = extractor.folder.config.labels
    tags = tag_words(reading.words, reading.post.entities or (), labels)
    return extractor.decoder.spans_of(np.array(tags))


def score_readings(extractor: Extractor, readings: Sequence[EncodedPost]) -> Figures:
    """Lenient and strict scores, in per cent, overall (``all``) and by type."""
    counts = LenientAndStrictCounter()
    for begin in range(0, len(readings), 256):
        group = readings[begin : begin + 256]
        for reading, extraction in zip(group, extractor.decode(group), strict=True):
            found = [(e.start, e.end, e.type) for e in extraction.entities]
            counts.add(_gold_spans(reading.post), found)
    return {"lenient": _by_type(counts.lenient.scores()), "strict": _by_type(counts.strict.scores())}


def _gold_spans(post: Post) -> list[tuple[tuple[int, int, str], bool]]:
    return [((e.start, e.end, e.type), e.well_formed) for e in post.entities or ()]


def _by_type(scores: SpanScores) -> dict[str, dict[str, float]]:
    return {"all": figures(scores.overall)} | {kind: figures(row) for kind, row in scores.types.items()}
