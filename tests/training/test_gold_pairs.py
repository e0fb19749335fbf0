"""Gold pairs: their word spans, types from a tagger, arguments without words."""

from __future__ import annotations

import pytest
import tiny_model

from twofold.inference.entities import PredictedEntities
from twofold.inference.tagger import Tagger
from twofold.model_folder.folder import open_folder
from twofold.posts import Entity, Post, Relation
from twofold.preprocessing.entity_markers import Argument
from twofold.preprocessing.segmentation import segment
from twofold.training.gold_pairs import gold_pairs, with_types

TEXT = "Anna Smith joined NASA in paris \u200b"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> PredictedEntities:
    return PredictedEntities(
        Tagger(open_folder(tiny_model.build(tmp_path_factory.mktemp("m") / "tagger")), 1)
    )


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


def test_types_are_replaced_by_the_taggers(provider: PredictedEntities) -> None:
    given = [
        post(("Anna Smith", "NASA"), ("\u200b", "NASA"), ("paris", "Anna Smith")),
        Post(2, "no relation"),
    ]
    typed, plain = with_types(given, provider)
    types = [(r.head.type, r.tail.type) for r in typed.relations or ()]
    assert types == [("PER", "ORG"), ("", "ORG"), ("LOC", "PER")]
    assert plain.relations == ()
    assert [(r.head.start, r.tail.end, r.type) for r in typed.relations or ()] == [
        (r.head.start, r.tail.end, r.type) for r in given[0].relations or ()
    ]


def test_many_posts_keep_their_order(provider: PredictedEntities) -> None:
    given = [post(("Anna Smith", "NASA"), number=i) if i % 3 else Post(i, "none") for i in range(600)]
    typed = list(with_types(iter(given), provider))
    assert [p.id for p in typed] == list(range(600))
    assert all(r.head.type == "PER" for p in typed for r in p.relations or ())
