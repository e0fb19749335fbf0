"""Merge posts of the same text, since files such as MNRE's hold one line per relation of a post.

It does not read files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from twofold.posts import Post


def merge_posts_of_one_text(posts: Iterable[Post]) -> Iterator[Post]:
    """Posts with all their gold relations together.

    Posts with gold relations and no gold entities whose text, picture and alt text are the same become one
    post with the relations of all of them, at the end of the stream; other posts pass unchanged. The posts
    to be merged are kept in memory.
    """
    waiting: dict[tuple[object, ...], list[Post]] = {}
    for post in posts:
        if post.relations is None or post.entities is not None:
            yield post
        else:
            waiting.setdefault((post.text, post.tokens, post.image, post.alt_text), []).append(post)
    yield from map(_merge, waiting.values())


def _merge(posts: Sequence[Post]) -> Post:
    return replace(posts[0], relations=tuple(r for post in posts for r in post.relations or ()))
