from __future__ import annotations

import json

import pytest

from twofold.corpora import open_corpus
from twofold.corpora.lengths import check_length
from twofold.corpora.post_stream import grouped, with_rejected
from twofold.errors import InputError
from twofold.posts import MAX_CHARACTERS, Post, Region, Rejected

LONG = "Paris and Berlin, " * 12000


def test_a_file_with_a_post_that_is_too_long_loses_that_post_only(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(["a", LONG, "b"])))
    first, rejected, last = open_corpus(path)
    assert (first.text, last.text) == ("a", "b")
    assert isinstance(rejected, Rejected)
    assert rejected.origin == f"{path}:2"
    assert rejected.reason.startswith("the post has 216,000 characters; expected at most 200,000; split it")
    assert len(rejected.raw) <= 1000
    assert [post.text for post in open_corpus(path, max_characters=None)] == ["a", LONG, "b"]


@pytest.mark.parametrize(
    "post",
    [
        Post(1, LONG),
        Post(1, "a", alt_text=LONG),
        Post(1, "a", regions=(Region((0, 0, 1, 1), LONG),)),
        Post(1, "a" * (MAX_CHARACTERS - 1), alt_text="ab"),
    ],
)
def test_alternative_text_and_regions_count_as_well(post):
    with pytest.raises(InputError, match="characters"):
        check_length(post)


def test_the_limit_itself_passes():
    check_length(Post(1, "a" * MAX_CHARACTERS))
    check_length(Post(1, LONG), None)


def test_the_limit_applies_to_posts_from_python_too():
    with pytest.raises(InputError, match="post 1: the post has 216,000 characters"):
        list(grouped(["a", {"id": 1, "text": LONG}], 4))
    assert len(list(grouped([LONG, Post(1, LONG)], 4, max_characters=None))) > 0
    items = list(with_rejected(["a", LONG, "b"], 4, lambda posts: [post.text for post in posts]))
    assert [isinstance(item, Rejected) for item in items] == [False, True, False]
