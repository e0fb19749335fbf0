"""Scores of entities by exact spans: lenient and strict F1, calibration error, trust report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.spans import LenientAndStrictCounter, SpanScores
from twofold.evaluation.trust_report import TrustReport, to_json, trust_report
from twofold.posts import Extraction, Post
from twofold.scoring.score_record import score_record


class EntityScorer:
    """Counts entities post by post.

    Attributes:
        posts: how many were added.
    """

    def __init__(self) -> None:
        self.posts = 0
        self._counts = LenientAndStrictCounter()
        self._predictions = PredictionCollector()

    def add(self, post: Post, extraction: Extraction, uncalibrated: Sequence[float] = ()) -> None:
        """Count one post with gold entities.

        Args:
            post: with its gold entities.
            extraction: what was predicted.
            uncalibrated: confidences of the predicted entities before calibration, of all posts or of none.
        """
        self.posts += 1
        gold = [((e.start, e.end, e.type), e.well_formed) for e in post.entities or ()]
        self._counts.add(gold, [(e.start, e.end, e.type) for e in extraction.entities])
        self._predictions.add_entities(extraction.entities, post.entities or (), uncalibrated)

    @property
    def lenient(self) -> SpanScores:
        """Every run of tags of one type is an entity."""
        return self._counts.lenient.scores()

    @property
    def strict(self) -> SpanScores:
        """A gold entity must begin with ``B-``."""
        return self._counts.strict.scores()

    def calibration_error(self) -> float:
        """Expected calibration error of the confidences, in [0, 1]; nan where nothing was predicted."""
        found = self._predictions.predictions()
        return calibration_error(found.confidence, found.right)

    def trust(self) -> TrustReport:
        """Calibration, risk against coverage, and what finds the errors."""
        return trust_report(self._predictions.predictions())

    def record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "lenient": _scores(self.lenient),
            "strict": _scores(self.strict),
            "calibration_error": to_json(self.calibration_error()),
        }


def _scores(scores: SpanScores) -> dict[str, Any]:
    return {
        "overall": score_record(scores.overall),
        "types": {name: score_record(score) for name, score in scores.types.items()},
    }
