from __future__ import annotations

from pathlib import Path

import pytest
from review.queue_of_posts import ADA, TURIN, make_store, result, write_results

from twofold.corpora import open_corpus
from twofold.corpora.check import check
from twofold.errors import DataError
from twofold.posts import Post
from twofold.review.decisions import Decision
from twofold.review.export import export
from twofold.review.results import read_results
from twofold.review.store import ReviewStore

FINISH = Decision("finish")
RELATED = [
    {"head": 0, "tail": 2, "type": "/per/loc/place_of_residence", "confidence": 0.4},
    {"head": 0, "tail": 1, "type": "/per/org/member_of", "confidence": 0.3},
]


def test_finished_posts_are_exported_as_labelled_posts(tmp_path: Path) -> None:
    store = make_store(tmp_path, result("a", 0.9, 0.5, 0.8, relations=RELATED), result("b", 0.7), result("c"))
    store.decide(
        0, "ada", [Decision("entity", 1, "correct", type="PER"), Decision("relation", 1, "reject"), FINISH]
    )
    store.decide(1, "ada", [Decision("entity", 0, "reject")])  # not finished
    store.decide(2, "ada", [FINISH])
    counts = export(store, tmp_path / "train.jsonl")
    assert (counts.written, counts.entities, counts.relations, counts.unfinished) == (2, 3, 1, 1)
    first, second = open_corpus(tmp_path / "train.jsonl")
    assert isinstance(first, Post)
    assert isinstance(second, Post)
    assert [(e.text, e.type) for e in first.entities or ()] == [
        ("Ada Berg", "PER"),
        ("Bob", "PER"),
        ("Turin", "LOC"),
    ]
    assert [(r.head.text, r.tail.text, r.type) for r in first.relations or ()] == [
        ("Ada Berg", "Turin", "/per/loc/place_of_residence"), ("Ada Berg", "Bob", "None")
    ]  # fmt: skip
    assert (second.entities, second.relations) == ((), None)
    assert check(tmp_path / "train.jsonl").exit_code == 0


def test_posts_whose_reviewers_differ(tmp_path: Path) -> None:
    store = make_store(tmp_path, result("a", 0.9), result("b", 0.7), overlap=1.0)
    for number in (0, 1):
        store.decide(number, "ada", [FINISH])
    store.decide(0, "bob", [FINISH])
    store.decide(1, "bob", [Decision("entity", 0, "reject"), FINISH])
    assert export(store, tmp_path / "same.jsonl").disagreed == 1
    assert [post.id for post in open_corpus(tmp_path / "same.jsonl")] == ["a"]
    export(store, tmp_path / "last.jsonl", last_decides=True)
    assert [len(post.entities) for post in open_corpus(tmp_path / "last.jsonl")] == [1, 0]


def test_pictures_and_alternative_texts_are_exported(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r.jsonl", result("a", 0.2))
    post = Post("a", result()["text"], image=tmp_path / "photos" / "a.jpg", alt_text="two people")
    store = ReviewStore.create(tmp_path / "r.db", read_results(results, [post]))
    store.decide(0, "ada", [FINISH])
    assert export(store, tmp_path / "train.jsonl").outside == 0
    (found,) = open_corpus(tmp_path / "train.jsonl")
    assert (found.image, found.alt_text) == (post.image, "two people")
    (tmp_path / "elsewhere").mkdir()
    assert export(store, tmp_path / "elsewhere" / "train.jsonl").outside == 1


def test_nothing_to_export(tmp_path: Path) -> None:
    store = make_store(tmp_path, result("a", 0.9), overlap=1.0)
    with pytest.raises(DataError, match="no post is finished"):
        export(store, tmp_path / "train.jsonl")
    store.decide(0, "ada", [FINISH])
    store.decide(0, "bob", [Decision("entity", 0, "reject"), FINISH])
    with pytest.raises(DataError, match="last-decides"):
        export(store, tmp_path / "train.jsonl")
    assert not (tmp_path / "train.jsonl").exists()


def test_exported_entities_are_valid_for_the_reader(tmp_path: Path) -> None:
    store = make_store(tmp_path, result("a", 0.9, 0.5, 0.8))
    store.decide(0, "ada", [Decision("add", start=9, end=19, type="MISC"), FINISH])
    export(store, tmp_path / "train.jsonl")
    (found,) = open_corpus(tmp_path / "train.jsonl")
    assert [(e.start, e.text) for e in found.entities] == [
        (ADA["start"], "Ada Berg"), (9, "met Bob in"), (TURIN["start"], "Turin")
    ]  # fmt: skip
