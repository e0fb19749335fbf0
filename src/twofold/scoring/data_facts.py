"""Which data was evaluated: file, hash, published release, and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twofold.corpora.releases import md5_of, note_on, release_of, resembles
from twofold.scoring.evaluate import EvaluationResult


def data_facts(path: Path, result: EvaluationResult, rejected: int) -> dict[str, Any]:
    """As plain data for JSON; ``rejected`` counts records that could not become posts."""
    release = release_of(path)
    like = None if release else resembles(result.posts, result.tokens)
    gold = result.entities.lenient.overall.gold
    return {
        "path": str(path),
        "md5": md5_of(path),
        "release": f"{release.title} {release.split}, {release.labels}" if release else None,
        "note": note_on(like, gold) if like else None,
        "posts": result.posts,
        "rejected": rejected,
        "unlabelled": result.unlabelled,
    }


def data_title(path: Path) -> str:
    """Name of the release, or of the file."""
    release = release_of(path)
    return f"{release.title} {release.split}" if release else path.name
