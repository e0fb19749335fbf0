"""Gold pairs: types from a tagger, verdicts in the order of the relations, arguments without words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import tiny_model

from twofold.posts import Entity, Post, Relation
from twofold.runtime.decoding import ChainDecoder
from twofold.runtime.folder import open_folder
from twofold.runtime.gold import gold_pairs, judged, with_types
from twofold.runtime.pairs import Argument
from twofold.runtime.reading import Reader, Reading
from twofold.runtime.relations import RelationReader
from twofold.segmentation import segment

TEXT = "Anna Smith joined NASA in paris \u200b"


class Tagger:
    def __init__(self, folder: Path) -> None:
        opened = open_folder(folder)
        self.reader, self.decoder = Reader(opened, threads=1), opened.decoder()
        assert isinstance(self.decoder, ChainDecoder)

    def read(self, posts: Iterable[Post]) -> Iterator[Reading]:
        return iter(self.reader.read(list(posts)))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    return Tagger(tiny_model.build(tmp_path_factory.mktemp("m") / "tagger"))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> RelationReader:
    return RelationReader(open_folder(tiny_model.build_relations(tmp_path_factory.mktemp("m") / "r")), 1)


def entity(text: str, type_: str = "") -> Entity:
    start = TEXT.index(text)
    return Entity(start, start + len(text), text, type_)


def post(*pairs: tuple[str, str], number: int = 1) -> Post:
    relations = [Relation(entity(a, "WRONG"), entity(b), "/per/org/member_of") for a, b in pairs]
    return Post(number, TEXT, relations=tuple(relations))


def test_pairs_in_words() -> None:
    pairs = list(gold_pairs(post(("Anna Smith", "NASA"), ("\u200b", "NASA")), segment(TEXT)))
    assert pairs == [(Argument(0, 2, "WRONG"), Argument(3, 4)), None]
    assert list(gold_pairs(Post(1, TEXT), segment(TEXT))) == []


def test_types_are_the_taggers_whatever_they_were(tagger: Tagger) -> None:
    given = [
        post(("Anna Smith", "NASA"), ("\u200b", "NASA"), ("paris", "Anna Smith")),
        Post(2, "no relation"),
    ]
    typed, plain = with_types(given, tagger)
    types = [(r.head.type, r.tail.type) for r in typed.relations or ()]
    assert types == [("PER", "ORG"), ("", ""), ("LOC", "PER")]
    assert plain.relations == ()
    blank = [dataclasses.replace(r, head=r.head, tail=r.tail) for r in given[0].relations or ()]
    assert [(r.head.start, r.tail.end, r.type) for r in typed.relations or ()] == [
        (r.head.start, r.tail.end, r.type) for r in blank
    ]


def test_verdicts_are_in_the_order_of_the_relations(tagger: Tagger, reader: RelationReader) -> None:
    given = [
        post(("Anna Smith", "NASA"), ("\u200b", "NASA"), ("Anna Smith", "paris"), number=i)
        for i in range(300)
    ]
    found = list(judged(reader, with_types(given, tagger), batch_size=8))
    assert [p.id for p, _ in found] == list(range(300))
    for _, row in found:
        assert [item.relation.tail.text for item in row] == ["NASA", "NASA", "paris"]
        labels = [item.verdict.label if item.verdict else "" for item in row]
        assert labels == ["/per/org/member_of", "", "/per/loc/place_of_residence"]


def test_posts_without_relations_are_read_by_nobody(reader: RelationReader) -> None:
    assert [row for _, row in judged(reader, [Post(1, TEXT), Post(2, "")])] == [[], []]
    assert list(judged(reader, [])) == []
