"""In which orders the pairs of a training are read: as given, or both ways round.

In MNRE nearly all pairs in no relation are given in the order of the text (7,708 of 7,744 in its training
file), and pairs in a relation are not (3,112 of 4,503). A model learns that a tail before its head is
never ``None``: worth points where pairs are given, fatal in use, where nobody says which of two entities
to take for the head. Read both ways round, the order tells nothing.

It does not know windows or models.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from twofold.model_folder.config import NO_RELATION
from twofold.posts import Post, Relation


class Orders(Protocol):
    """A choice of orders."""

    def __call__(self, posts: Sequence[Post], symmetric: Collection[str]) -> list[Post]:
        """Posts with the pairs to learn from.

        Args:
            posts: with gold relations.
            symmetric: relations that hold both ways.
        """


def as_given(posts: Sequence[Post], symmetric: Collection[str]) -> list[Post]:
    """The pairs of the data and no others; see `Orders`."""
    return list(posts)


def both_ways(posts: Sequence[Post], symmetric: Collection[str]) -> list[Post]:
    """Each pair also the other way round; see `Orders`.

    The other way round a symmetric relation is itself, and all else ``None``. A pair that the post gives
    both ways stays as it is given.
    """
    return [_both(post, symmetric) for post in posts]


def _both(post: Post, symmetric: Collection[str]) -> Post:
    if post.relations is None:
        return post
    given = {_ends(relation) for relation in post.relations}
    added = [_turned(relation, symmetric) for relation in post.relations]
    new = {_ends(relation): relation for relation in added if _ends(relation) not in given}
    return replace(post, relations=(*post.relations, *new.values()))


def _turned(relation: Relation, symmetric: Collection[str]) -> Relation:
    type_ = relation.type if relation.type in symmetric else NO_RELATION
    return replace(relation, head=relation.tail, tail=relation.head, type=type_)


def _ends(relation: Relation) -> tuple[int, int, int, int]:
    return relation.head.start, relation.head.end, relation.tail.start, relation.tail.end


ORDERS: Mapping[str, Orders] = {"given": as_given, "both": both_ways}
"""Each choice by name."""
