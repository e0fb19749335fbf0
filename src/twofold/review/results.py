"""Reads results of `twofold extract` for review, with the posts that they were extracted from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from twofold.corpora.json_types import kind_of
from twofold.corpora.jsonl import parse_post
from twofold.corpora.results import result_records
from twofold.errors import DataError, InputError
from twofold.posts import Entity, Post, Rejected, Relation
from twofold.review.decisions import Proposal


class Result(NamedTuple):
    """One result.

    Attributes:
        record: as in a line of JSON. proposal: the predictions in it.
        post: the post it was extracted from; None where posts were not given.
    """

    record: dict[str, Any]
    proposal: Proposal
    post: Post | None = None


def read_results(path: Path, posts: Iterable[Post | Rejected] | None = None) -> Iterator[Result]:
    """Results in order, with the posts that they were extracted from.

    Args:
        path: a file or folder that `twofold extract` wrote, see `corpora.results`.
        posts: the posts, in the order of the results; those without a result were rejected by `extract`, and
            are skipped. With them a result has the id of its post, which CSV and Parquet hold as text.

    Raises:
        DataError: a file cannot be read, a record is not a result, or none of the remaining posts is the
            post of a result.
    """
    remaining = None if posts is None else (post for post in posts if isinstance(post, Post))
    for where, record in result_records(path):
        try:
            proposal = parse_proposal(record)
        except InputError as error:
            raise DataError(error.what, where=where, expected=error.expected, do=error.do) from error
        if remaining is None:
            yield Result(record, proposal)
            continue
        post = next((post for post in remaining if _is_post_of(post, proposal)), None)
        if post is None:
            raise DataError(
                f"the post {proposal.id!r:.60} of this result is not among the remaining posts",
                where=where,
                expected="the file of posts that these results were extracted from, in the same order",
            )
        yield Result(record | {"id": post.id}, dataclasses.replace(proposal, id=post.id), post)


def _is_post_of(post: Post, proposal: Proposal) -> bool:
    return (str(post.id), post.text) == (str(proposal.id), proposal.text)


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
