"""Posts in groups."""

from __future__ import annotations

from twofold.corpora.post_stream import groups
from twofold.posts import Post


def test_groups_begin_small_and_end_early_at_long_texts():
    sizes = [len(group) for group in groups((Post(i, "hi") for i in range(100)), 4)]
    assert sizes == [4, 32, 32, 32]
    long = [Post(0, "x" * 100_000), *(Post(i, "hi") for i in range(1, 6))]
    assert [len(group) for group in groups(long, 4)] == [1, 5]
    assert list(groups([], 4)) == []


def test_groups_take_no_post_before_it_is_needed():
    taken = []
    posts = (taken.append(i) or Post(i, "hi") for i in range(100))
    next(groups(posts, 4))
    assert len(taken) == 4
