"""Scores of relations for ``twofold evaluate``: of given pairs, and end to end.

Given pairs: head and tail are the gold's, the model says how they stand (as MNRE is scored). End to end: the
model has the bare post, and whole triples count; relations that hold both ways from either end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from twofold.evaluation.calibration import calibration_error
from twofold.evaluation.predictions import PredictionCollector
from twofold.evaluation.relations import RelationCounter
from twofold.evaluation.spans import SpanScore
from twofold.evaluation.triples import TripleCounter, span_of, triple_of
from twofold.evaluation.trust_report import TrustReport, trust_report
from twofold.posts import Extraction, Post, Relation

_WAYS = (
    ("typed", "all pairs"),
    ("by_spans", "all pairs, types of the ends aside"),
    ("typed_annotated", "annotated pairs only"),
    ("by_spans_annotated", "annotated pairs only, types of the ends aside"),
)


class RelationResult:
    """Everything that is counted of relations.

    Args:
        end_to_end: whether the model finds entities too, so that triples are its own.
        symmetric: relations that hold both ways.
    """

    def __init__(self, end_to_end: bool, symmetric: Collection[str] = ()) -> None:
        self.posts = 0
        self._pairs = RelationCounter()
        self._triples = TripleCounter(symmetric) if end_to_end else None
        self._found = PredictionCollector()

    def add(self, post: Post, extraction: Extraction, judged: Sequence[Relation]) -> None:
        """Count one post; ``judged`` are its gold pairs as the model takes them."""
        self.posts += 1
        gold = post.relations or ()
        for wanted, found in zip(gold, judged, strict=True):
            self._pairs.add(wanted.type, found.type)
        self._found.add_pairs(judged, gold)
        if self._triples is not None:
            entities = [span_of(entity) for entity in extraction.entities]
            self._triples.add(map(triple_of, gold), map(triple_of, extraction.relations), entities)

    def lines(self) -> Iterator[str]:
        """For a person to read."""
        scores = self._pairs.scores()
        width = max([12, *map(len, scores.relations)])
        yield f"{'given pairs':{width}}      P      R     F1   gold  found"
        for name, score in scores.relations.items():
            yield f"{name:{width}} {figures(score)} {score.gold:6} {score.predicted:6}"
        yield ""
        error = self._calibration_error()
        if error is not None:
            yield f"calibration error of the confidences of relations {100 * error:.2f}"
        accuracy = f"accuracy {100 * scores.accuracy:.2f} of {scores.pairs} pairs in {self.posts} posts"
        yield f"given pairs {headline(scores.overall)} {accuracy}"
        if self._triples is not None:
            found = self._triples.scores()._asdict()
            yield from (f"end to end, {told}: {headline(found[way])}" for way, told in _WAYS)
            reach, total = self._triples.within_reach, found["by_spans"].gold
            yield f"end to end, {reach} of {total} gold triples have both ends among the entities found"

    def trust(self) -> TrustReport:
        """Of the relations found between given pairs, head and tail as the gold has them."""
        return trust_report(self._found.predictions())

    def record(self) -> dict[str, Any]:
        """For a file; precision, recall and F1 in [0, 1]."""
        scores, error = self._pairs.scores(), self._calibration_error()
        pairs = {
            "overall": score_record(scores.overall),
            "relations": {name: score_record(score) for name, score in scores.relations.items()},
            "accuracy": round(scores.accuracy, 6),
            "pairs": scores.pairs,
            "calibration_error": None if error is None else round(error, 6),
        }
        record: dict[str, Any] = {"posts": self.posts, "given_pairs": pairs}
        if self._triples is not None:
            ways = self._triples.scores()._asdict().items()
            record["end_to_end"] = {way: score_record(score) for way, score in ways}
            record["end_to_end"]["gold_within_reach"] = self._triples.within_reach
        return record

    def _calibration_error(self) -> float | None:
        found = self._found.predictions()
        return calibration_error(found.confidence, found.right) if len(found.right) else None


def figures(score: SpanScore) -> str:
    """Precision, recall and F1 in per cent, in columns."""
    return f"{100 * score.precision:6.2f} {100 * score.recall:6.2f} {100 * score.f1:6.2f}"


def headline(score: SpanScore) -> str:
    """The same, named."""
    return f"P {100 * score.precision:.2f} R {100 * score.recall:.2f} F1 {100 * score.f1:.2f}"


def score_record(score: SpanScore) -> dict[str, float]:
    """A score as plain data, parts in [0, 1]."""
    return {
        "precision": round(score.precision, 6),
        "recall": round(score.recall, 6),
        "f1": round(score.f1, 6),
        "correct": score.correct,
        "predicted": score.predicted,
        "gold": score.gold,
    }
