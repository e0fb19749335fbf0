"""Prints the scores of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator

from twofold.console.text import counted
from twofold.evaluation.spans import SpanScore
from twofold.scoring.entity_scores import EntityScores
from twofold.scoring.relation_scores import RelationEvaluation
from twofold.scoring.report import EvaluationReport


def score_lines(report: EvaluationReport) -> Iterator[str]:
    """The model, the data and all scores."""
    model, data = report.model, report.data
    yield f"model     {model.name} ({model.folder})"
    yield f"data      {data.path}: {data.release or data.note or 'no known release'}, md5 {data.md5}"
    yield f"posts     {data.posts} labelled, {data.rejected} rejected, {data.unlabelled} without labels"
    if data.types:
        yield "types     " + ", ".join(
            f"{old} as {new}" if new else f"no {old}" for old, new in data.types.items()
        )
    yield "pictures  " + ", ".join(f"{count} {status}" for status, count in report.pictures.items())
    if report.entities is not None:
        yield ""
        yield from _entity_lines(report.entities)
    if report.relations is not None:
        yield ""
        yield from _relation_lines(report.relations)


def _entity_lines(scores: EntityScores) -> Iterator[str]:
    error = scores.calibration_error
    yield f"{'lenient':12}      P      R     F1   gold  found"
    for name, score in scores.lenient.types.items():
        yield f"{name:12} {_columns(score)} {score.gold:6} {score.predicted:6}"
    yield ""
    known = math.isfinite(error)
    yield f"calibration error of the confidences {100 * error:.2f}" if known else "no entity was predicted"
    yield f"lenient {_named(scores.lenient.overall)}"
    yield f"strict {_named(scores.strict.overall)}"


def _relation_lines(found: RelationEvaluation) -> Iterator[str]:
    scores, error = found.gold_pairs, found.calibration_error
    width = max([12, *map(len, scores.relations)])
    yield f"{'gold pairs':{width}}      P      R     F1   gold  found"
    for name, score in scores.relations.items():
        yield f"{name:{width}} {_columns(score)} {score.gold:6} {score.predicted:6}"
    yield ""
    if error is not None:
        yield f"calibration error of the confidences of relations {100 * error:.2f}"
    pairs = f"{counted(scores.pairs, 'pair')} in {counted(found.posts, 'post')}"
    yield f"gold pairs {_named(scores.overall)} accuracy {100 * scores.accuracy:.2f} of {pairs}"
    if found.end_to_end is not None:
        strict, boundaries, strict_annotated, boundaries_annotated = found.end_to_end
        yield from _end_to_end("end to end", strict, boundaries)
        yield from _end_to_end("end to end, annotated pairs only", strict_annotated, boundaries_annotated)
        reach, total = found.both_arguments_found, found.end_to_end.boundaries.gold
        yield f"end to end, {reach} of {total} gold triples have both arguments among the predicted entities"


def _end_to_end(what: str, strict: SpanScore, boundaries: SpanScore) -> Iterator[str]:
    """One line if types make no difference: in MNRE they follow from the relation."""
    if strict == boundaries:
        yield f"{what}, boundaries with or without types: {_named(strict)}"
    else:
        yield f"{what}, strict (boundaries and types): {_named(strict)}"
        yield f"{what}, boundaries only: {_named(boundaries)}"


def _columns(score: SpanScore) -> str:
    """Precision, recall and F1 in per cent, in columns."""
    return f"{100 * score.precision:6.2f} {100 * score.recall:6.2f} {100 * score.f1:6.2f}"


def _named(score: SpanScore) -> str:
    return f"P {100 * score.precision:.2f} R {100 * score.recall:.2f} F1 {100 * score.f1:.2f}"
