"""Reviewed predictions as training data: from predictions with mistakes to a calibrated model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import tiny_model
from tiny_training import line, relation_line
from tiny_training_fixtures import config, corpus, encoder  # noqa: F401

import twofold
from twofold.cli.main import main
from twofold.config import Config, RelationsConfig
from twofold.corpora import open_corpus
from twofold.posts import Entity, Post, Relation
from twofold.review.decisions import Decision
from twofold.review.export import export
from twofold.review.results import read_results
from twofold.review.store import ReviewStore
from twofold.training.run import train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the exporter warns of its own internals
    pytest.mark.usefixtures("quick_export", "few_resamples"),
]
FINISH = Decision("finish")
ResultAndDecisions = tuple[dict[str, Any], list[Decision]]


def silent(line: str) -> None:
    pass


def record(post: dict[str, Any], entities: list[dict[str, Any]], relations: Any = ()) -> dict[str, Any]:
    """A line of results."""
    return {
        "id": post["id"], "text": post["text"], "relations": list(relations),
        "entities": [
            {**e, "text": post["text"][e["start"] : e["end"]], "confidence": 0.6, "sources": {}}
            for e in entities
        ],
        "picture": {"status": "none", "reason": ""}, "model": "tiny",
    }  # fmt: skip


def review(folder: Path, posts: list[dict[str, Any]], reviewed: Iterator[ResultAndDecisions]) -> Path:
    """Review results in the order of the queue, and export them."""
    (folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    records, decisions = zip(*reviewed, strict=True)
    results = folder / "out.jsonl"
    results.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    read = read_results(results, open_corpus(folder / "posts.jsonl"))
    store = ReviewStore.create(folder / "out.review", read, order="random")
    while (number := store.next("ada")) is not None:
        store.decide(number, "ada", [*decisions[number], FINISH])
    export(store, folder / "reviewed.jsonl")
    store.close()
    return folder / "reviewed.jsonl"


def with_mistakes(post: dict[str, Any], number: int) -> ResultAndDecisions:
    """Predictions for a post of the tiny corpus with one of several mistakes, and the decisions on them."""
    (entity,) = post["entities"]
    start, end, kind = entity["start"], entity["end"], entity["type"]
    other = {"PER": "LOC", "LOC": "PER"}[kind]
    last = {"start": post["text"].rindex(" ") + 1, "end": len(post["text"]), "type": other}
    predicted = {"start": start, "end": end, "type": kind}
    longer = post["text"].find(" ", end + 1)
    wide = predicted | {"end": longer if longer > 0 else len(post["text"])}
    cases: list[tuple[list[dict[str, Any]], list[Decision]]] = [
        ([predicted], []),
        ([predicted | {"type": other}], [Decision("entity", 0, "correct", type=kind)]),
        ([wide], [Decision("entity", 0, "correct", start=start, end=end)]),
        ([], [Decision("add", start=start, end=end, type=kind)]),
        ([predicted, last], [Decision("entity", 0, "accept"), Decision("entity", 1, "reject")]),
    ]
    entities, decisions = cases[number % len(cases)]
    return record(post, entities), decisions


def spans(post: Post) -> list[tuple[int, int, str]]:
    return [(e.start, e.end, e.type) for e in post.entities or ()]


def test_reviewed_entities_train_and_calibrate_a_model(
    config: Config,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gold = [json.loads(line(number)) for number in range(80)]
    posts = [{key: value for key, value in post.items() if key != "entities"} for post in gold]
    data = review(tmp_path, posts, (with_mistakes(post, number) for number, post in enumerate(gold)))
    found = {post.id: post for post in open_corpus(data) if isinstance(post, Post)}
    assert {number: spans(post) for number, post in found.items()} == {
        post["id"]: [(e["start"], e["end"], e["type"]) for e in post["entities"]] for post in gold
    }
    assert {number: post.alt_text for number, post in found.items()} == {
        post["id"]: post.get("alt_text") for post in gold
    }
    longer = dataclasses.replace(config.training, epochs=9)
    corpora = dataclasses.replace(config.data, train=(str(data),))
    model = train(dataclasses.replace(config, data=corpora, training=longer), tmp_path / "model", silent)
    assert main(["calibrate", str(model), str(data), "-o", str(tmp_path / "calibrated")]) == 0, (
        capsys.readouterr().err
    )
    (extraction,) = twofold.load(tmp_path / "calibrated").extract(["off to Rome now"])
    assert [(e.text, e.type) for e in extraction.entities] == [("Rome", "LOC")]


def pairs_with_mistakes(post: Post, number: int) -> ResultAndDecisions:
    """A predicted relation for a post of the tiny relation corpus, and the decisions on it."""
    (gold,) = post.relations or ()
    kinds = {"NASA": "ORG", "CERN": "ORG", "paris": "LOC"}
    entities = sorted(
        ({"start": e.start, "end": e.end, "type": kinds.get(e.text, "PER")} for e in (gold.head, gold.tail)),
        key=lambda entity: entity["start"],
    )
    head = [entity["start"] for entity in entities].index(gold.head.start)
    right, wrong = gold.type, {"member_of": "lives_in", "lives_in": "member_of"}.get(gold.type, "member_of")
    mistaken = right == "None" or number % 4 == 0
    relation = {"head": head, "tail": 1 - head, "type": wrong if mistaken else right, "confidence": 0.5}
    answer = Decision("relation", 0, "accept")
    if right == "None":
        answer = Decision("relation", 0, "reject")
    elif mistaken:
        answer = Decision("relation", 0, "correct", type=right)
    decided = [Decision("entity", 0, "accept"), Decision("entity", 1, "accept"), answer]
    return record({"id": post.id, "text": post.text}, entities, [relation]), decided


def pair(relation: Relation) -> tuple[tuple[int, int], tuple[int, int], str]:
    def span(entity: Entity) -> tuple[int, int]:
        return entity.start, entity.end

    return span(relation.head), span(relation.tail), relation.type


def test_reviewed_relations_train_and_calibrate_a_model(
    config: Config,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    numbers = [number for number in range(240) if number % 6 in (0, 1, 2, 3)]  # one in four is "None"
    (tmp_path / "gold.jsonl").write_text("".join(map(relation_line, numbers)), encoding="utf-8")
    gold = [post for post in open_corpus(tmp_path / "gold.jsonl") if isinstance(post, Post)]
    posts = [{"id": p.id, "text": p.text} | ({"alt_text": p.alt_text} if p.alt_text else {}) for p in gold]
    data = review(tmp_path, posts, (pairs_with_mistakes(post, number) for number, post in enumerate(gold)))
    found = {post.id: post for post in open_corpus(data) if isinstance(post, Post)}
    assert {number: list(map(pair, post.relations or ())) for number, post in found.items()} == {
        post.id: list(map(pair, post.relations or ())) for post in gold
    }
    tagger = tiny_model.build(tmp_path / "tagger", sources=("text", "alt_text"))
    whole = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, train=(str(data),), dev=(str(data),)),
        model=dataclasses.replace(
            config.model, task="relations", window_pieces=64, relations=RelationsConfig(tagger=str(tagger))
        ),
        training=dataclasses.replace(config.training, epochs=8),
    )
    model = train(whole, tmp_path / "model", silent)
    assert main(["calibrate", str(model), str(data), "-o", str(tmp_path / "calibrated")]) == 0, (
        capsys.readouterr().err
    )
    extractor = twofold.load(tagger, relation_model=tmp_path / "calibrated")
    (extraction,) = extractor.extract(["Ada works at NASA"])
    assert [(r.head.text, r.tail.text, r.type) for r in extraction.relations] == [
        ("Ada", "NASA", "member_of")
    ]
