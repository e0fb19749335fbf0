"""Extractions as JSON, one line each; ``schemas/extraction.schema.json`` says what is in a line.

It does not read them back.
"""

from __future__ import annotations

import json
from typing import Any

from twofold.posts import Entity, Extraction, SourceEvidence, Uncertainty

DIGITS = 6
"""Decimal places of every number."""


def to_record(extraction: Extraction) -> dict[str, Any]:
    """An extraction as plain data."""
    return {
        "id": extraction.id,
        "text": extraction.text,
        "entities": [_entity(entity) for entity in extraction.entities],
        "picture": {"status": extraction.picture.status, "reason": extraction.picture.reason},
        "model": extraction.model,
    }


def to_line(extraction: Extraction) -> str:
    """An extraction as one line of JSON, without the line end."""
    return json.dumps(to_record(extraction), ensure_ascii=False, allow_nan=False)


def _entity(entity: Entity) -> dict[str, Any]:
    record: dict[str, Any] = {
        "start": entity.start, "end": entity.end, "text": entity.text, "type": entity.type,
    }  # fmt: skip
    if entity.confidence is not None:
        record["confidence"] = round(entity.confidence, DIGITS)
    if entity.uncertainty is not None:
        record["uncertainty"] = _numbers(entity.uncertainty)
    record["sources"] = {
        name: {"share": round(source.share, DIGITS), **_numbers(source)}
        for name, source in entity.sources.items()
    }
    return record


def _numbers(uncertainty: Uncertainty | SourceEvidence) -> dict[str, float]:
    return {
        "aleatoric": round(uncertainty.aleatoric, DIGITS),
        "epistemic": round(uncertainty.epistemic, DIGITS),
    }
