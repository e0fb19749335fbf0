"""Scores of relations: of gold pairs, and end to end.

Gold pairs: head and tail are given, and the model predicts their relation (as MNRE is scored). End to end:
the model gets the post alone, and whole triples are scored; symmetric relations count in either direction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.relations import RelationCounter, RelationScores
from twofold.evaluation.spans import SpanScore
from twofold.evaluation.triples import TripleCounter, TripleScores, entity_span, to_triple
from twofold.evaluation.trust_report import TrustReport, trust_report
from twofold.posts import Extraction, Post, Relation
from twofold.scoring.score_record import score_record


@dataclass(frozen=True, slots=True)
class RelationEvaluation:
    """Scores of relations.

    Attributes:
        posts: posts with gold relations.
        gold_pairs: scores of the relations of gold pairs.
        end_to_end: scores of whole triples; None for a model that predicts no entities.
        both_arguments_found: number of gold triples whose two arguments were both predicted as entities.
        calibration_error: expected calibration error on gold pairs, in [0, 1]; None where no relation was
            predicted.
    """

    posts: int
    gold_pairs: RelationScores
    end_to_end: TripleScores | None
    both_arguments_found: int
    calibration_error: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; precision, recall and F1 in [0, 1]."""
        scores, error = self.gold_pairs, self.calibration_error
        pairs = {
            "overall": score_record(scores.overall),
            "relations": {name: score_record(score) for name, score in scores.relations.items()},
            "accuracy": round(scores.accuracy, 6),
            "pairs": scores.pairs,
            "calibration_error": None if error is None else round(error, 6),
        }
        record: dict[str, Any] = {"posts": self.posts, "gold_pairs": pairs}
        if self.end_to_end is not None:
            rules = self.end_to_end._asdict().items()
            record["end_to_end"] = {rule: score_record(score) for rule, score in rules}
            record["end_to_end"]["gold_with_both_arguments_found"] = self.both_arguments_found
        return record

    def rows(self) -> Iterator[tuple[str, str, SpanScore]]:
        """Matching rule, relation ("all" for all together) and score."""
        yield "gold pairs", "all", self.gold_pairs.overall
        yield from (("gold pairs", name, score) for name, score in self.gold_pairs.relations.items())
        if self.end_to_end is not None:
            rules = self.end_to_end._asdict().items()
            yield from ((f"end to end, {rule}", "all", score) for rule, score in rules)


class RelationScorer:
    """Counts relations post by post.

    Args:
        end_to_end: whether the model predicts entities, too, so that whole triples are scored.
        symmetric: relations that hold in both directions.
    """

    def __init__(self, end_to_end: bool, symmetric: Collection[str] = ()) -> None:
        self._posts = 0
        self._pairs = RelationCounter()
        self._triples = TripleCounter(symmetric) if end_to_end else None
        self._predictions = PredictionCollector()

    def add(self, post: Post, extraction: Extraction, gold_pairs: Sequence[Relation]) -> None:
        """Count one post with gold relations.

        Args:
            post: post with gold relations.
            extraction: predictions for the post without its labels.
            gold_pairs: predicted relation of each gold pair, in the order of the gold.
        """
        self._posts += 1
        gold = post.relations or ()
        for wanted, predicted in zip(gold, gold_pairs, strict=True):
            self._pairs.add(wanted.type, predicted.type)
        self._predictions.add_pairs(gold_pairs, gold)
        if self._triples is not None:
            entities = [entity_span(entity) for entity in extraction.entities]
            self._triples.add(map(to_triple, gold), map(to_triple, extraction.relations), entities)

    def scores(self) -> RelationEvaluation | None:
        """Scores of the posts added; None where there were none."""
        if not self._posts:
            return None
        found = self._predictions.predictions()
        error = calibration_error(found.confidence, found.right) if len(found.right) else None
        triples = self._triples.scores() if self._triples is not None else None
        both_found = self._triples.both_arguments_found if self._triples is not None else 0
        return RelationEvaluation(self._posts, self._pairs.scores(), triples, both_found, error)

    def trust(self) -> dict[str, TrustReport]:
        """Report on the relations predicted for gold pairs, under ``relations``; empty without posts."""
        return {"relations": trust_report(self._predictions.predictions())} if self._posts else {}
