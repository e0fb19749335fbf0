"""Posts as users pass them, parsed one by one and put into groups of bounded size.

It does not know what is done with a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from reprlib import Repr
from typing import Any, TypeVar

from twofold.corpora.jsonl import parse_post
from twofold.corpora.lengths import check_length
from twofold.corpora.lines import rejected
from twofold.errors import ConfigError, InputError
from twofold.posts import MAX_CHARACTERS, Post, Rejected

T = TypeVar("T")
Item = TypeVar("Item", Post, "Post | Rejected")
PostLike = Post | Mapping[str, Any] | str
"""A post; a mapping as in a line of JSON; or just a text, whose id is then its number from 0."""
MapFunction = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
Posts = Iterable[PostLike | Rejected]
"""Posts, and records that a reader rejected."""

_RAW = Repr()
_RAW.maxstring = _RAW.maxother = 1000
_RAW.maxdict = _RAW.maxlist = _RAW.maxtuple = 20


def grouped(
    posts: Iterable[PostLike], batch_size: int, max_characters: int | None = MAX_CHARACTERS
) -> Iterator[list[Post]]:
    """Parse posts and group them; see `groups`.

    Args:
        posts: consumed lazily.
        batch_size: windows of text in a batch.
        max_characters: longest post; None for no limit.

    Raises:
        InputError: ``posts`` is a single post or a table, or (while iterating) a mapping is not a post or
            a post is too long.
        ConfigError: batch_size is not a number above 0.
    """
    _check(posts, batch_size)
    parsed = (_parsed(post, number, max_characters) for number, post in enumerate(posts))
    return groups(parsed, batch_size)


def with_rejected(
    posts: Iterable[PostLike | Rejected],
    batch_size: int,
    process: Callable[[Sequence[Post]], Iterable[T]],
    max_characters: int | None = MAX_CHARACTERS,
    map_groups: MapFunction = map,
) -> Iterator[T | Rejected]:
    """Results of posts in groups; an item that is not a post is yielded as `Rejected` in its place.

    Args:
        posts: as in `grouped`; records that a reader rejected are passed on as they are.
        batch_size: as in `grouped`.
        process: returns one result per post, in order.
        max_characters: as in `grouped`.
        map_groups: applies a function to the groups, as ``map`` does.

    Raises:
        InputError, ConfigError: at once, as in `grouped`; an invalid post is only rejected.
    """
    _check(posts, batch_size)
    items = parsed_posts(posts, max_characters)
    return chain.from_iterable(
        map_groups(lambda group: list(_in_place(group, process)), groups(items, batch_size))
    )


def parsed_posts(posts: Posts, max_characters: int | None = MAX_CHARACTERS) -> Iterator[Post | Rejected]:
    """Posts one by one; an item that is not a post is yielded as `Rejected`.

    Args:
        posts: consumed lazily; rejected records are passed on.
        max_characters: longest post; a longer one is rejected. None for no limit.

    Raises:
        InputError: ``posts`` is a single post or a table.
    """
    _check(posts, 1)
    return (_parsed_or_rejected(post, number, max_characters) for number, post in enumerate(posts))


def groups(posts: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Groups of posts that are encoded together.

    The first group is one batch, so that the first results come soon; later ones are eight, so that
    rows of similar length are found. A group ends early if its texts are long.

    Args:
        posts: consumed lazily.
        batch_size: windows in a batch.
    """
    group: list[Item] = []
    size, characters = batch_size, 0
    for post in posts:
        group.append(post)
        characters += len(post.text) + len(post.alt_text or "") if isinstance(post, Post) else 0
        if len(group) >= size or characters > 200 * size:
            yield group
            group, size, characters = [], 8 * batch_size, 0
    if group:
        yield group


def _check(posts: object, batch_size: int) -> None:
    if isinstance(posts, (str, bytes, Mapping, Post)):
        raise InputError(
            f"got a single {type(posts).__name__}",
            expected="an iterable of posts",
            do="put it into a list",
        )
    if hasattr(posts, "columns") and hasattr(posts, "to_dict"):  # iterating a DataFrame gives its columns
        raise InputError(
            f"got a {type(posts).__name__}", expected="an iterable of posts", do='give df.to_dict("records")'
        )
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}", expected="a number above 0")


def _parsed(post: object, number: int, max_characters: int | None) -> Post:
    if isinstance(post, str):
        post = {"id": number, "text": post}
    parsed = post if isinstance(post, Post) else parse_post(post, f"post {number}")  # type: ignore[arg-type]
    check_length(parsed, max_characters)
    return parsed


def _parsed_or_rejected(post: object, number: int, max_characters: int | None) -> Post | Rejected:
    if isinstance(post, Rejected):
        return post
    try:
        return _parsed(post, number, max_characters)
    except InputError as error:
        return rejected(error, _RAW.repr(post).encode("utf-8", "backslashreplace"))


def _in_place(
    group: Sequence[Post | Rejected], process: Callable[[Sequence[Post]], Iterable[T]]
) -> Iterator[T | Rejected]:
    posts = [item for item in group if isinstance(item, Post)]
    results = iter(process(posts) if posts else ())
    for item in group:
        yield item if isinstance(item, Rejected) else next(results)
