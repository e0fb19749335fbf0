"""Results of a few posts, as `twofold extract` writes them, for the tests of the review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twofold.review.results import read_results
from twofold.review.store import ReviewStore

TEXT = "Ada Berg met Bob in Turin"
ADA = {"start": 0, "end": 8, "text": "Ada Berg", "type": "PER"}
BOB = {"start": 13, "end": 16, "text": "Bob", "type": "ORG"}
TURIN = {"start": 20, "end": 25, "text": "Turin", "type": "LOC"}


def result(id: str | int = 1, *confidences: float, relations: list[dict[str, Any]] | None = None) -> dict:
    """A line of results, with the first of Ada, Bob and Turin, one for each confidence."""
    entities = [
        {**entity, "confidence": c, "sources": {}}
        for entity, c in zip((ADA, BOB, TURIN), confidences, strict=False)
    ]
    return {
        "id": id, "text": TEXT, "entities": entities, "relations": relations or [],
        "picture": {"status": "none", "reason": ""}, "model": "tiny",
    }  # fmt: skip


def write_results(path: Path, *records: dict) -> Path:
    """Write results to a file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def make_store(folder: Path, *records: dict, **options: Any) -> ReviewStore:
    """Create a review of results."""
    results = write_results(folder / "results.jsonl", *records)
    return ReviewStore.create(folder / "review.db", read_results(results), **options)
