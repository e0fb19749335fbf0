"""Limit on the length of a post: a model's memory grows with the longest post, some kilobytes per word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twofold.corpora.lines import rejected
from twofold.errors import InputError
from twofold.posts import MAX_CHARACTERS, Post, Rejected


def check_length(post: Post, max_characters: int | None = MAX_CHARACTERS) -> None:
    """Check the length of a post.

    Args:
        post: the post.
        max_characters: largest number of characters; None for no limit.

    Raises:
        InputError: the post has more.
    """
    count = characters(post)
    if max_characters is not None and count > max_characters:
        raise InputError(
            f"the post has {count:,} characters",
            where=post.origin,
            expected=f"at most {max_characters:,}",
            do="split it; extract, evaluate and calibrate can raise the limit (--max-characters, in Python "
            "max_characters)",
        )


def characters(post: Post) -> int:
    """Number of characters in text, alternative text and labels of regions."""
    return len(post.text) + len(post.alt_text or "") + sum(len(region.label) for region in post.regions or ())


def limited(items: Iterable[Post | Rejected], max_characters: int) -> Iterator[Post | Rejected]:
    """The same posts, with a rejected record in place of each that is too long; see `check_length`."""
    for item in items:
        try:
            if isinstance(item, Post):
                check_length(item, max_characters)
            yield item
        except InputError as error:
            yield rejected(
                error, item.text[:1000].encode("utf-8", "backslashreplace") if isinstance(item, Post) else b""
            )
