"""Extractions as JSON, one line each; ``schemas/extraction.schema.json`` defines a line.

This module only writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twofold.posts import Entity, Extraction, Rejected, Relation, SourceEvidence, Uncertainty

DIGITS = 6
"""Decimal places of every number."""


def to_record(extraction: Extraction) -> dict[str, Any]:
    """An extraction as plain data."""
    number = {_key(entity): i for i, entity in enumerate(extraction.entities)}
    record = {
        "id": extraction.id,
        "text": extraction.text,
        "entities": [_entity(entity) for entity in extraction.entities],
        "relations": [_relation(relation, number) for relation in extraction.relations],
        "picture": {"status": extraction.picture.status, "reason": extraction.picture.reason},
        "model": extraction.model,
    }
    if extraction.truncated:
        record["truncated"] = [
            {"what": item.what, "read": item.read, "total": item.total} for item in extraction.truncated
        ]
    return record


def to_line(extraction: Extraction) -> str:
    """An extraction as one line of JSON, without the line end."""
    return json.dumps(to_record(extraction), ensure_ascii=False, allow_nan=False)


def rejected_line(item: Rejected) -> str:
    """A record that could not become a post, as one line of JSON, without the line end."""
    record = {"origin": item.origin, "reason": item.reason, "raw": item.raw}
    return json.dumps(record, ensure_ascii=False)


def _entity(entity: Entity) -> dict[str, Any]:
    record = {name: getattr(entity, name) for name in ("start", "end", "text", "type")}
    return record | _confidence_fields(entity)


def _relation(relation: Relation, number: Mapping[tuple[int, int, str], int]) -> dict[str, Any]:
    """Head and tail as indices into the entities of the post."""
    head, tail = (number[_key(argument)] for argument in (relation.head, relation.tail))
    return {"head": head, "tail": tail, "type": relation.type} | _confidence_fields(relation)


def _key(entity: Entity) -> tuple[int, int, str]:
    return entity.start, entity.end, entity.type


def _confidence_fields(of: Entity | Relation) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if of.review is not None:
        record["review"] = of.review
    if of.candidates is not None:
        record["candidates"] = list(of.candidates)
    if of.confidence is not None:
        record["confidence"] = round(of.confidence, DIGITS)
    if of.uncertainty is not None:
        record["uncertainty"] = _numbers(of.uncertainty)
    record["sources"] = {
        name: {"share": round(source.share, DIGITS), **_numbers(source)}
        for name, source in of.sources.items()
    }
    return record


def _numbers(uncertainty: Uncertainty | SourceEvidence) -> dict[str, float]:
    return {
        "aleatoric": round(uncertainty.aleatoric, DIGITS),
        "epistemic": round(uncertainty.epistemic, DIGITS),
    }
