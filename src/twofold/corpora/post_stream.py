"""Posts as users hand them over, parsed one by one and put into groups of bounded size.

It does not know what is done with a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twofold.corpora.jsonl import parse_post
from twofold.errors import ConfigError, InputError
from twofold.posts import Post

PostLike = Post | Mapping[str, Any] | str
"""A post; a mapping as in a line of JSON; or just a text, whose id is then its number from 0."""


def grouped(posts: Iterable[PostLike], batch_size: int) -> Iterator[list[Post]]:
    """Parse posts and group them; see `groups`.

    Args:
        posts: taken only as they are needed.
        batch_size: windows of text in a batch.

    Raises:
        InputError: ``posts`` is a single post, or (while iterating) a mapping is not a post.
        ConfigError: batch_size is not a number above 0.
    """
    if isinstance(posts, (str, bytes, Mapping, Post)):
        raise InputError(
            f"a single {type(posts).__name__} came",
            expected="an iterable of posts",
            do="put it into a list",
        )
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}", expected="a number above 0")
    return groups(_parsed(posts), batch_size)


def _parsed(posts: Iterable[PostLike]) -> Iterator[Post]:
    for number, post in enumerate(posts):
        if isinstance(post, str):
            post = {"id": number, "text": post}
        yield post if isinstance(post, Post) else parse_post(post, f"post {number}")


def groups(posts: Iterable[Post], batch_size: int) -> Iterator[list[Post]]:
    """Groups of posts that are encoded together.

    The first group is one batch, so that the first results come soon; later ones are eight, so that
    rows of like length are found. A group ends early where its texts are long.

    Args:
        posts: taken only as they are needed.
        batch_size: windows in a batch.
    """
    group: list[Post] = []
    size, characters = batch_size, 0
    for post in posts:
        group.append(post)
        characters += len(post.text) + len(post.alt_text or "")
        if len(group) >= size or characters > 200 * size:
            yield group
            group, size, characters = [], 8 * batch_size, 0
    if group:
        yield group
