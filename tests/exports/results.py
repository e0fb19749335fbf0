"""Results with all the cases of an export: emoji, line ends, pictures, relations, no entity."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from twofold.posts import Entity, Extraction, PictureReport, Post, Relation
from twofold.records import to_line

TEXTS = [
    "😀 Ada Lovelace 👩‍💻 met Bob\nin New\nYork, said NASA 🚀",
    "nothing here",
    "",
    "Zürich is in Switzerland",
]
SPANS = [
    [("Ada Lovelace", "PER", 0.91), ("Bob", "PER", 0.8), ("New\nYork", "LOC", 0.7), ("NASA", "ORG", 0.95)],
    [],
    [],
    [("Zürich", "LOC", 0.99), ("Switzerland", "LOC", 0.6)],
]
RELATIONS = [
    [(0, 2, "/per/loc/place_of_residence", 0.55), (1, 3, "/per/org/member_of", 0.4)],
    [],
    [],
    [(1, 0, "/loc/loc/contain", 0.9)],
]
IDS = ["a 1", 2, "ü", 4]


def extractions() -> list[Extraction]:
    found = []
    for id_, text, spans, relations in zip(IDS, TEXTS, SPANS, RELATIONS, strict=True):
        entities = [
            Entity(text.index(words), text.index(words) + len(words), words, type_, confidence)
            for words, type_, confidence in spans
        ]
        related = [Relation(entities[h], entities[t], type_, c) for h, t, type_, c in relations]
        found.append(
            Extraction(id_, text, tuple(entities), PictureReport("none"), "m", relations=tuple(related))
        )
    return found


def write(folder: Path) -> tuple[Path, Path]:
    """Files of results and of their posts; the first post has a picture and a description."""
    folder.mkdir(parents=True, exist_ok=True)
    results, posts = folder / "out.jsonl", folder / "posts.jsonl"
    lines = [to_line(extraction) for extraction in extractions()]
    results.write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "photos").mkdir()
    Image.new("RGB", (40, 30), "red").save(folder / "photos" / "a b.png")
    records = [{"id": id_, "text": text} for id_, text in zip(IDS, TEXTS, strict=True)]
    records[0] |= {"image": "photos/a b.png", "alt_text": "a <red> square"}
    records.insert(1, {"id": "no post"})
    posts.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return results, posts


def labels(post: Post) -> tuple[list, list]:
    """Entities and relations of a post as plain data."""
    entities = [(e.start, e.end, e.text, e.type) for e in post.entities or ()]
    relations = [(r.head.start, r.tail.start, r.type) for r in post.relations or ()]
    return sorted(entities), sorted(relations)
