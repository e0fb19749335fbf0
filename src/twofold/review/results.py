"""Reads results of `twofold extract` for review, with the posts that they were extracted from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from twofold.corpora.json_types import kind_of
from twofold.corpora.jsonl import parse_object, parse_post
from twofold.corpora.lines import display_path, read_lines
from twofold.errors import DataError, InputError
from twofold.posts import Entity, Post, Rejected, Relation
from twofold.reading import open_file
from twofold.review.decisions import Proposal

_ITS_POSTS = "the file of posts that these results were extracted from"


class Result(NamedTuple):
    """A line of the results.

    Attributes:
        record: the line as JSON. proposal: the predictions in it.
        post: the post it was extracted from; None where posts were not given.
    """

    record: dict[str, Any]
    proposal: Proposal
    post: Post | None = None


def read_results(path: Path, posts: Iterable[Post | Rejected] | None = None) -> Iterator[Result]:
    """Lines of results, in order.

    Args:
        path: JSON Lines as `twofold extract` writes them.
        posts: the posts of the results, in the same order; rejected ones have no result.

    Raises:
        DataError: the file cannot be read, a line is not a result, or a post and its result differ.
    """
    for number, (record, post) in enumerate(_paired(path, posts), start=1):
        where = f"{display_path(path)}:{number}"
        try:
            proposal = parse_proposal(record)
        except InputError as error:
            raise DataError(error.what, where=where, expected=error.expected, do=error.do) from error
        if post is not None and (post.id, post.text) != (proposal.id, proposal.text):
            raise DataError(
                f"the result is of post {proposal.id!r:.60}, the post is {post.id!r:.60}",
                where=where,
                expected=_ITS_POSTS,
            )
        yield Result(record, proposal, post)


def _paired(
    path: Path, posts: Iterable[Post | Rejected] | None
) -> Iterator[tuple[dict[str, Any], Post | None]]:
    if posts is None:
        yield from ((record, None) for record in _records(path))
        return
    accepted = (post for post in posts if isinstance(post, Post))
    for record, post in zip_longest(_records(path), accepted):
        if record is None or post is None:
            raise DataError(
                "the numbers of results and posts differ", where=display_path(path), expected=_ITS_POSTS
            )
        yield record, post


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        stream = open_file(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            expected="results of `twofold extract`, as JSON Lines",
        ) from error
    with stream:
        for line in read_lines(stream):
            try:
                yield parse_object(line, f"{display_path(path)}:{line.number}")
            except InputError as error:
                raise DataError(
                    error.what, where=error.where, expected="a line that `twofold extract` wrote", do=error.do
                ) from error


def parse_proposal(record: dict[str, Any]) -> Proposal:
    """The predictions of one line of results.

    Raises:
        InputError: the line is not a result.
    """
    kept = {name: record.get(name) for name in ("text", "entities")}
    post = parse_post(kept | ({"id": record["id"]} if "id" in record else {}))
    listed = record.get("entities")
    if not isinstance(listed, list):
        raise InputError(f"entities is {kind_of(listed)}", expected="a list")
    for item in listed:
        if not isinstance(item, dict) or not {"start", "end"} <= item.keys():
            raise InputError(f"an entity is {kind_of(item)}", expected='{"start": …, "end": …, "type": "…"}')
    order = sorted(range(len(listed)), key=lambda i: (listed[i]["start"], listed[i]["end"]))
    entities = tuple(
        Entity(e.start, e.end, e.text, e.type, _confidence(listed[i]))
        for i, e in zip(order, post.entities or (), strict=True)
    )
    place = {number: entities[i] for i, number in enumerate(order)}
    relations = record.get("relations") or []
    if not isinstance(relations, list):
        raise InputError(f"relations is {kind_of(relations)}", expected="a list")
    return Proposal(post.id, post.text, entities, tuple(_relation(item, place) for item in relations))


def _relation(item: Any, place: dict[int, Entity]) -> Relation:
    arguments = [item.get(key) if isinstance(item, dict) else None for key in ("head", "tail")]
    type_ = item.get("type") if isinstance(item, dict) else None
    if not all(type(i) is int and i in place for i in arguments) or not isinstance(type_, str):
        raise InputError(
            f"the relation is {item!r:.80}",
            expected='{"head": …, "tail": …, "type": "…"} with positions in the entities',
            do="give results that `twofold extract` wrote",
        )
    head, tail = (place[int(i)] for i in arguments if i is not None)
    return Relation(head, tail, type_, _confidence(item))


def _confidence(item: dict[str, Any]) -> float | None:
    value = item.get("confidence")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InputError(f"confidence is {value!r:.40}", expected="a number from 0 to 1")
    return float(value)
