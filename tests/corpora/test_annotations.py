"""Annotation conventions that are brought into one form."""

from __future__ import annotations

import pytest

from twofold.corpora import open_corpus
from twofold.corpora.annotations import with_merged_mentions
from twofold.posts import Entity, Post, Relation, with_types


def entity(text: str, name: str, kind: str, after: int = 0) -> Entity:
    start = text.index(name, after)
    return Entity(start, start + len(name), name, kind)


def found(post: Post) -> list[tuple[str, str]]:
    return [(e.text, e.type) for e in post.entities]


TEXT = "Ada of Acme in Turin"
ADA, ACME, TURIN = entity(TEXT, "Ada", "person"), entity(TEXT, "Acme", "corp"), entity(TEXT, "Turin", "LOC")


def test_types_are_renamed_and_dropped_and_others_stay():
    post = Post(1, TEXT, entities=(ADA, ACME, TURIN))
    assert found(with_types(post, {"person": "PER", "corp": ""})) == [("Ada", "PER"), ("Turin", "LOC")]
    assert with_types(post, {}) == post


def test_a_relation_is_dropped_with_its_head_or_tail():
    post = Post(1, TEXT, relations=(Relation(ADA, ACME, "member_of"), Relation(ADA, TURIN, "place_of")))
    (relation,) = with_types(post, {"corp": "", "person": "PER"}).relations
    assert (relation.type, relation.head.type, relation.tail.type) == ("place_of", "PER", "LOC")


@pytest.mark.parametrize("of", [None, ()])
def test_unlabelled_and_labelled_without_entities_stay_distinct(of):
    post = Post(1, TEXT, entities=of, relations=of)
    assert with_types(post, {"person": ""}) == post
    assert with_merged_mentions(post) == post


@pytest.mark.parametrize("mention", ["@ SportsCenter", "@SportsCenter"])
def test_the_at_sign_of_a_mention_is_not_an_entity_besides_the_name(mention):
    text = f"RT {mention} : 76ers"
    entities = tuple(entity(text, name, "ORG") for name in ("@", "SportsCenter", "76ers"))
    assert found(with_merged_mentions(Post(1, text, entities=entities))) == [
        ("SportsCenter", "ORG"),
        ("76ers", "ORG"),
    ]


def test_an_at_sign_is_kept_without_an_entity_of_its_type_after_it():
    text = "@ home with @ Ada"
    entities = (entity(text, "@", "LOC"), entity(text, "@", "LOC", 3), entity(text, "Ada", "PER"))
    post = Post(1, text, entities=entities)
    assert with_merged_mentions(post) == post


def test_any_format_is_read_with_other_types(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "Ada", "entities": [{"start": 0, "end": 3, "type": "person"}]}\n')
    (post,) = open_corpus(path, types={"person": "PER"})
    assert found(post) == [("Ada", "PER")]


BTC = {"btc.train.conll": (6338, 8779 - 1415), "btc.dev.conll": (1001, 1730 - 604)}


@pytest.mark.parametrize("name", [pytest.param("btc.train.conll", marks=pytest.mark.slow), "btc.dev.conll"])
def test_counts_of_the_broad_twitter_corpus(shared, name):
    posts = list(open_corpus(shared / "data/btc" / name))
    entities = [e for post in posts for e in post.entities]
    assert (len(posts), len(entities)) == BTC[name]
    assert "@" not in {e.text for e in entities}
    as_written = open_corpus(shared / "data/btc" / name, merge_mentions=False)
    assert sum(len(post.entities) for post in as_written) > len(entities)


@pytest.mark.parametrize(("name", "posts", "entities"), [("train.bio", 1639, 979), ("dev.bio", 710, 425)])
def test_counts_of_tweebank(shared, name, posts, entities):
    read = list(open_corpus(shared / "data/tweebank" / name))
    assert (len(read), sum(len(post.entities) for post in read)) == (posts, entities)
    assert "DOCSTART" not in read[0].text
