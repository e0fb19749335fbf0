"""Scores of relations: of gold pairs, and end to end.

Gold pairs: head and tail are the gold's, and the model predicts their relation (as MNRE is scored). End to
end: the model has the bare post, and whole triples count; symmetric relations count in either direction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.relations import RelationCounter, RelationScores
from twofold.evaluation.triples import TripleCounter, TripleScores, entity_span, to_triple
from twofold.evaluation.trust_report import TrustReport, trust_report
from twofold.posts import Extraction, Post, Relation
from twofold.scoring.score_record import score_record


class RelationScorer:
    """Counts relations post by post.

    Args:
        end_to_end: whether the model finds entities too, so that triples are its own.
        symmetric: relations that hold in both directions.

    Attributes:
        posts: how many were added.
    """

    def __init__(self, end_to_end: bool, symmetric: Collection[str] = ()) -> None:
        self.posts = 0
        self._pairs = RelationCounter()
        self._triples = TripleCounter(symmetric) if end_to_end else None
        self._predictions = PredictionCollector()

    def add(self, post: Post, extraction: Extraction, gold_pairs: Sequence[Relation]) -> None:
        """Count one post with gold relations.

        Args:
            post: with its gold relations.
            extraction: what was predicted for the bare post.
            gold_pairs: predicted relation of each gold pair, in the order of the gold.
        """
        self.posts += 1
        gold = post.relations or ()
        for wanted, predicted in zip(gold, gold_pairs, strict=True):
            self._pairs.add(wanted.type, predicted.type)
        self._predictions.add_pairs(gold_pairs, gold)
        if self._triples is not None:
            entities = [entity_span(entity) for entity in extraction.entities]
            self._triples.add(map(to_triple, gold), map(to_triple, extraction.relations), entities)

    @property
    def gold_pairs(self) -> RelationScores:
        """Scores of the gold pairs."""
        return self._pairs.scores()

    @property
    def end_to_end(self) -> TripleScores | None:
        """Scores of whole triples; None for a model that finds no entities."""
        return self._triples.scores() if self._triples is not None else None

    @property
    def both_arguments_found(self) -> int:
        """Gold triples both of whose arguments were found as entities."""
        return self._triples.both_arguments_found if self._triples is not None else 0

    def trust(self) -> TrustReport:
        """Of the relations predicted for gold pairs, head and tail as the gold has them."""
        return trust_report(self._predictions.predictions())

    def record(self) -> dict[str, Any]:
        """As plain data for JSON; precision, recall and F1 in [0, 1]."""
        scores, error = self.gold_pairs, self.calibration_error()
        pairs = {
            "overall": score_record(scores.overall),
            "relations": {name: score_record(score) for name, score in scores.relations.items()},
            "accuracy": round(scores.accuracy, 6),
            "pairs": scores.pairs,
            "calibration_error": None if error is None else round(error, 6),
        }
        record: dict[str, Any] = {"posts": self.posts, "gold_pairs": pairs}
        if self.end_to_end is not None:
            ways = self.end_to_end._asdict().items()
            record["end_to_end"] = {way: score_record(score) for way, score in ways}
            record["end_to_end"]["gold_with_both_arguments_found"] = self.both_arguments_found
        return record

    def calibration_error(self) -> float | None:
        """Expected calibration error on gold pairs, in [0, 1]; None where no relation was predicted."""
        found = self._predictions.predictions()
        return calibration_error(found.confidence, found.right) if len(found.right) else None
