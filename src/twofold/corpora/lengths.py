"""The limit on the length of a post: memory of a model grows with the longest post, some kilobytes a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twofold.corpora.lines import rejected
from twofold.errors import InputError
from twofold.posts import MAX_CHARACTERS, Post, Rejected


def check_length(post: Post, most: int | None = MAX_CHARACTERS) -> None:
    """Check the length of a post.

    Args:
        post: the post.
        most: largest number of characters; None for no limit.

    Raises:
        InputError: it has more.
    """
    count = characters(post)
    if most is not None and count > most:
        raise InputError(
            f"the post has {count:,} characters",
            where=post.origin,
            expected=f"at most {most:,}",
            do="split it; extract, evaluate and calibrate can raise the limit (--max-characters, in Python "
            "max_characters)",
        )


def characters(post: Post) -> int:
    """Number of characters in text, alternative text and labels of regions."""
    return len(post.text) + len(post.alt_text or "") + sum(len(region.label) for region in post.regions or ())


def limited(items: Iterable[Post | Rejected], most: int) -> Iterator[Post | Rejected]:
    """The same posts, with a rejected record in place of each that is too long; see `check_length`."""
    for item in items:
        try:
            if isinstance(item, Post):
                check_length(item, most)
            yield item
        except InputError as error:
            yield rejected(
                error, item.text[:1000].encode("utf-8", "backslashreplace") if isinstance(item, Post) else b""
            )
