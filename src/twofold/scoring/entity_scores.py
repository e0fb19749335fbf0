"""Scores of entities by exact spans: lenient and strict F1, calibration error, trust report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.comparison import spans
from twofold.evaluation.spans import LenientAndStrictCounter, SpanScore, SpanScores
from twofold.evaluation.trust_report import TrustReport, to_json, trust_report
from twofold.posts import Extraction, Post
from twofold.scoring.score_record import score_record


@dataclass(frozen=True, slots=True)
class EntityScores:
    """Scores of entities.

    Attributes:
        posts: posts with gold entities.
        lenient: every run of tags of one type is an entity.
        strict: an entity must begin with ``B-``.
        calibration_error: expected calibration error of the confidences, in [0, 1]; nan where nothing was
            predicted.
    """

    posts: int
    lenient: SpanScores
    strict: SpanScores
    calibration_error: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; precision, recall and F1 in [0, 1]."""
        return {
            "lenient": _scores(self.lenient),
            "strict": _scores(self.strict),
            "calibration_error": to_json(self.calibration_error),
        }

    def rows(self) -> Iterator[tuple[str, str, SpanScore]]:
        """Matching rule, type ("all" for all together) and score."""
        for rule, scores in (("lenient", self.lenient), ("strict", self.strict)):
            yield rule, "all", scores.overall
            yield from ((rule, name, score) for name, score in scores.types.items())


class EntityScorer:
    """Counts entities post by post."""

    def __init__(self) -> None:
        self._posts = 0
        self._counts = LenientAndStrictCounter()
        self._predictions = PredictionCollector()

    def add(self, post: Post, extraction: Extraction, uncalibrated: Sequence[float] = ()) -> None:
        """Count one post with gold entities.

        Args:
            post: post with gold entities.
            extraction: its predictions, comparable with the gold.
            uncalibrated: confidences of the predicted entities before calibration, of all posts or of none.
        """
        self._posts += 1
        self._counts.add(spans(post.entities or ()), spans(extraction.entities))
        self._predictions.add_entities(extraction.entities, post.entities or (), uncalibrated)

    def scores(self) -> EntityScores | None:
        """Scores of the posts added; None where there were none."""
        if not self._posts:
            return None
        found = self._predictions.predictions()
        error = calibration_error(found.confidence, found.right)
        return EntityScores(self._posts, self._counts.lenient.scores(), self._counts.strict.scores(), error)

    def trust(self) -> dict[str, TrustReport]:
        """Calibration, selective prediction and error detection, under ``entities``; empty without posts."""
        return {"entities": trust_report(self._predictions.predictions())} if self._posts else {}


def _scores(scores: SpanScores) -> dict[str, Any]:
    return {
        "overall": score_record(scores.overall),
        "types": {name: score_record(score) for name, score in scores.types.items()},
    }
