"""Merging the lines of one post."""

from __future__ import annotations

from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.posts import Entity, Post, Relation


def post(number: int, text: str, *relations: str, **more) -> Post:
    arguments = Entity(0, 1, text[:1], ""), Entity(2, 3, text[2:3], "")
    return Post(number, text, relations=tuple(Relation(*arguments, kind) for kind in relations), **more)


def test_lines_of_the_same_post_become_one():
    posts = [
        post(1, "a b", "x"),
        Post(2, "a b"),
        post(3, "a b", "y", "x"),
        post(4, "a b", "z", alt_text="another picture"),
        post(5, "a b", "x", entities=()),
    ]
    merged = list(merge_posts_of_one_text(posts))
    assert [p.id for p in merged] == [2, 5, 1, 4]
    assert [[r.type for r in p.relations or ()] for p in merged] == [[], ["x"], ["x", "y", "x"], ["z"]]
    assert merged[0] is posts[1]
