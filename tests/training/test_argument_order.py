"""Pairs in both argument orders: which are added, and that the order then carries no information."""

from __future__ import annotations

from collections import Counter

import pytest

from twofold.posts import Entity, Post, Relation
from twofold.training.argument_order import both_orders, given_order

A, B, C = (Entity(i, i + 1, "abc"[i], kind) for i, kind in enumerate(("PER", "ORG", "PER")))
WORKS, PEER, NONE = Relation(A, B, "works_for"), Relation(A, C, "peer"), Relation(B, C, "None")


def post(*relations: Relation) -> Post:
    return Post(1, "abc", relations=relations)


def triples(posts: list[Post]) -> list[tuple[str, str, str]]:
    return [(r.head.text, r.type, r.tail.text) for p in posts for r in p.relations or ()]


def test_given_order_changes_nothing():
    posts = [post(WORKS, PEER, NONE), Post(2, "unlabelled")]
    assert given_order(posts, ()) == posts


def test_only_symmetric_relations_keep_their_type_when_swapped():
    assert triples(both_orders([post(WORKS, PEER, NONE)], {"peer"})) == [
        ("a", "works_for", "b"), ("a", "peer", "c"), ("b", "None", "c"),
        ("b", "None", "a"), ("c", "peer", "a"), ("c", "None", "b"),
    ]  # fmt: skip
    # Argument types are swapped with the arguments.
    assert both_orders([post(WORKS)], ())[0].relations[1].head.type == "ORG"


def test_a_pair_given_in_both_orders_is_unchanged():
    back = Relation(B, A, "employs")
    assert triples(both_orders([post(WORKS, back)], ())) == [("a", "works_for", "b"), ("b", "employs", "a")]


def test_posts_without_gold_are_kept_in_order():
    posts = [Post(1, "abc"), post(), post(NONE)]
    assert [p.relations and len(p.relations) for p in both_orders(posts, ())] == [None, (), 2]


def test_in_both_orders_the_order_does_not_predict_none():
    posts = [post(NONE), post(WORKS), post(Relation(C, A, "works_for"))]
    counts = Counter(
        (r.type, r.head.start < r.tail.start) for p in both_orders(posts, ()) for r in p.relations or ()
    )
    assert counts["None", True] == counts["None", False] == 2


@pytest.mark.slow
def test_in_the_real_files_the_order_predicts_none(shared):
    from twofold.corpora import open_corpus

    seen = Counter(
        (r.type == "None", r.head.start < r.tail.start)
        for p in open_corpus(shared / "data" / "mnre" / "mnre_train.txt")
        for r in p.relations or ()
    )
    assert seen == {(True, True): 7708, (True, False): 36, (False, True): 3112, (False, False): 1391}


def test_class_counts_include_swapped_pairs() -> None:
    pytest.importorskip("torch")
    from twofold.config import Config, ModelConfig, RelationsConfig
    from twofold.training.relations import RelationTask

    posts = [post(WORKS, PEER, NONE)]
    for orders, expected in (("given", [1, 1, 1]), ("both", [3, 2, 1])):
        options = RelationsConfig("untyped", "", argument_order=orders, symmetric=("peer",))
        task = RelationTask(Config(model=ModelConfig(relations=options)), lambda line: None)
        assert task.counts(posts, ["None", "peer", "works_for"]) == expected
