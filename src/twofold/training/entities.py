"""The entity task of a training: BIO tags of words with a CRF."""

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
from twofold.evaluation.comparison import comparable, spans
from twofold.evaluation.spans import LenientAndStrictCounter, SpanScores
from twofold.heads.contract import Head
from twofold.heads.crf import CRF
from twofold.inference.encode import EncodedPost
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Post
from twofold.preprocessing.word_pieces import WindowTokenizer
from twofold.training.dev_scores import Score, span_f1
from twofold.training.examples import Example, labels_of, make_examples, tag_words
from twofold.training.loop import Log
from twofold.training.metrics import (
    open_uncalibrated,
    percentages,
    temperature_only,
    write_calibration,
)
from twofold.training.task import DevConventions, Metrics


class EntityTask:
    """See `Task`.

    Args:
        config: of the training.
        log: called with lines of progress.
    """

    gold = "entities"
    score: Score = staticmethod(span_f1)

    def __init__(self, config: Config, log: Log) -> None:
        pass  # a tagger has no options of its own

    def prepare_posts(self, posts: Sequence[Post]) -> list[Post]:
        """See `Task`."""
        return list(posts)

    def labels(self, posts: Sequence[Post]) -> list[str]:
        """See `Task`."""
        return labels_of(posts)

    def counts(self, posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
        """See `Task`; a CRF does not use them."""
        return []

    def prepare_encoder(self, text: TextEncoder) -> None:
        """See `Task`; nothing to do."""

    def examples(
        self,
        posts: Sequence[Post],
        rows: Sequence[Mapping[str, int]],
        tokenizer: WindowTokenizer,
        labels: Sequence[str],
    ) -> list[Example]:
        """See `Task`."""
        return make_examples(posts, rows, tokenizer, labels)

    def training_instances(self, posts: Sequence[Post]) -> list[Post]:
        """See `Task`; the posts themselves."""
        return list(posts)

    def describe(self, posts: Sequence[Post]) -> dict[str, Any]:
        """See `Task`; none besides the labels."""
        return {}

    def write_head(self, head: Head, folder: Path) -> None:
        """Write ``decoder.safetensors``."""
        assert isinstance(head, CRF)
        transitions, start, end = (x.detach().cpu().contiguous().numpy() for x in head.potentials())
        save_file({"transitions": transitions, "start": start, "end": end}, folder / "decoder.safetensors")

    def measure(
        self,
        folder: Path,
        dev: Mapping[str, Sequence[Post]],
        train: Sequence[Post],
        conventions: DevConventions,
    ) -> Metrics:
        """See `Task`."""
        pipeline = InferencePipeline(open_uncalibrated(folder))
        encoded = {}
        for name, posts in dev.items():
            pipeline.convention = conventions[name]
            encoded[name] = list(pipeline.encode(posts))
        fitted = _fit_calibration(pipeline, encoded)
        write_calibration(folder, fitted)
        scores = {name: score_posts(pipeline, group) for name, group in encoded.items()}
        return {"dev": scores, **card_record(fitted)}

    def headlines(self, dev: Metrics) -> Iterator[str]:
        """See `Task`."""
        for name, score in dev.items():
            yield f"dev {name}: lenient F1 {score['lenient']['all']['f1']:.2f}"


def _fit_calibration(
    pipeline: InferencePipeline, encoded: Mapping[str, Sequence[EncodedPost]]
) -> CalibrationFit:
    """Full calibration; or a temperature only, where dev is too small to be split."""
    try:
        return fit_entities(pipeline.tagger, encoded)
    except DataError as error:
        every = [post for group in encoded.values() for post in group]
        return temperature_only(_fit_temperature(pipeline, every), encoded, error.what)


def _fit_temperature(pipeline: InferencePipeline, encoded: Sequence[EncodedPost]) -> TemperatureFit | None:
    emissions = [post.emissions for post in encoded]
    if not any(pipeline.decoder.decode(emissions)):
        return None
    return fit_on_spans(pipeline.decoder, emissions, [_gold(pipeline, post) for post in encoded])


def _gold(pipeline: InferencePipeline, post: EncodedPost) -> list[TagSpan]:
    labels = pipeline.folder.config.labels
    tags = tag_words(post.words, post.post.entities or (), labels)
    return pipeline.decoder.spans_of(np.array(tags))


def score_posts(pipeline: InferencePipeline, encoded: Sequence[EncodedPost]) -> Metrics:
    """Lenient and strict scores, in per cent, overall (``all``) and by type."""
    counts = LenientAndStrictCounter()
    for begin in range(0, len(encoded), 256):
        group = encoded[begin : begin + 256]
        for post, extraction in zip(group, pipeline.decode(group), strict=True):
            found = comparable(post.post, extraction.entities)
            counts.add(spans(post.post.entities or ()), spans(entity for entity in found if entity))
    return {"lenient": _by_type(counts.lenient.scores()), "strict": _by_type(counts.strict.scores())}


def _by_type(scores: SpanScores) -> dict[str, dict[str, float]]:
    return {"all": percentages(scores.overall)} | {
        kind: percentages(row) for kind, row in scores.types.items()
    }
