"""What the page at ``/`` needs besides extractions: the model's setup, and explanations of a picture.

The module does not depend on HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twofold.calibration.calibration import FILE, read_calibration
from twofold.calibration.risk_control import control_risk
from twofold.errors import PictureError
from twofold.pipeline.explain import METHOD, Occlusion, explain, seen_area
from twofold.pipeline.extractor import Extractor
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Entity, Post, Relation
from twofold.preprocessing.images import PictureSettings, read_thumbnail
from twofold.records import DIGITS
from twofold.server.files import PAGE
from twofold.version import __version__

ERRORS = (0.05, 0.1, 0.15, 0.2)
"""Error rates whose thresholds the page offers, where the calibration guarantees them."""
_SIZE = 512


def setup_record(extractor: Extractor) -> dict[str, Any]:
    """What the page must know about the model before the first post."""
    pipeline = extractor.pipeline
    return {
        "model": extractor.name,
        "version": __version__,
        "types": list(extractor.types),
        "sources": list(pipeline.folder.config.modalities),
        "symmetric": sorted(pipeline.symmetric),
        "thresholds": thresholds(pipeline),
        "examples": json.loads((PAGE / "examples" / "posts.json").read_text(encoding="utf-8")),
    }


def thresholds(pipeline: InferencePipeline) -> list[dict[str, float]]:
    """For each of `ERRORS` that the tagger's calibration guarantees, the confidence threshold."""
    file = pipeline.folder.path / FILE
    curve = read_calibration(file).risk_curve if file.is_file() else None
    risks = [control_risk(curve, error) for error in ERRORS] if curve is not None else []
    return [
        {"error": risk.max_error, "threshold": risk.threshold, "coverage": risk.coverage}
        for risk in risks
        if risk.threshold is not None
    ]


def explanation_record(pipeline: InferencePipeline, post: Post, batch_size: int = 32) -> dict[str, Any]:
    """The effect of each region of the picture on each entity and each relation of a post.

    Args:
        pipeline: of a tagger, with a relation model or without.
        post: one post.
        batch_size: windows of text in a batch.

    Returns:
        ``method``; ``area`` of the upright picture that the regions cover, as fractions (left, top, right,
        bottom), None without regions, and ``relation_area`` likewise; for each entity its span, type and
        confidence, the confidence ``without_picture``, and ``regions``, the change of the log-odds row by
        row; the same for each relation, with ``head`` and ``tail`` as indices of entities.
    """
    found = explain(pipeline, post, batch_size)
    number = {id(entity): i for i, entity in enumerate(found.entities)}
    entities = [{"start": e.start, "end": e.end, "text": e.text, "type": e.type} for e in found.entities]
    relations = [
        {"head": number[id(r.head)], "tail": number[id(r.tail)], "type": r.type} for r in found.relations
    ]
    extractor = pipeline.relation_extractor
    relation_folder = extractor.classifier.folder if extractor else pipeline.folder
    pictures = [pipeline.folder.config.picture, relation_folder.config.picture]
    area, relation_area = (
        _area(picture.settings, post) if picture and occlusion else None
        for picture, occlusion in zip(pictures, (found.of_entities, found.of_relations), strict=True)
    )
    return {
        "method": METHOD,
        "area": area,
        "relation_area": relation_area,
        "entities": _explained(entities, found.entities, found.of_entities),
        "relations": _explained(relations, found.relations, found.of_relations),
        "picture": {"status": found.picture.status, "reason": found.picture.reason},
    }


def _explained(
    records: Sequence[dict[str, Any]], predictions: Sequence[Entity | Relation], occlusion: Occlusion | None
) -> list[dict[str, Any]]:
    """Records of predictions with their confidence and the effect of the picture."""
    explained = []
    for number, (record, prediction) in enumerate(zip(records, predictions, strict=True)):
        record = record | {"confidence": round(prediction.confidence or 0.0, DIGITS)}
        if occlusion is not None:
            record["without_picture"] = round(occlusion.without_picture[number], DIGITS)
            record["regions"] = occlusion.regions[number].round(DIGITS).tolist()
        explained.append(record)
    return explained


def _area(settings: PictureSettings, post: Post) -> list[float] | None:
    if post.image is None:
        return None
    try:
        size = read_thumbnail(post.image, _SIZE).size
    except PictureError:  # it was readable a moment ago
        return None
    return [round(part, DIGITS) for part in seen_area(*size, settings)]
