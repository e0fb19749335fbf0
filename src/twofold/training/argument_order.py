"""The argument orders in which pairs are learned: as given, or both.

In MNRE nearly all pairs in no relation are given in the order of the text (7,708 of 7,744 in its training
file), and pairs in a relation are not (3,112 of 4,503). A model learns that a tail before its head is
never ``None``: this raises scores on given pairs and fails at inference, where it is unknown which of two
entities is the head. With both orders, the order carries no information.

It does not know windows or models.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from twofold.model_folder.config import NO_RELATION
from twofold.posts import Post, Relation


class ArgumentOrder(Protocol):
    """A rule that adds pairs."""

    def __call__(self, posts: Sequence[Post], symmetric: Collection[str]) -> list[Post]:
        """Posts with the pairs to learn from.

        Args:
            posts: with gold relations.
            symmetric: relations that hold in both orders.
        """


def given_order(posts: Sequence[Post], symmetric: Collection[str]) -> list[Post]:
    """The pairs of the data and no others; see `ArgumentOrder`."""
    return list(posts)


def both_orders(posts: Sequence[Post], symmetric: Collection[str]) -> list[Post]:
    """Each pair also with head and tail swapped; see `ArgumentOrder`.

    When swapped, a symmetric relation keeps its type and any other becomes ``None``. A pair that the post
    gives in both orders is unchanged.
    """
    return [_both(post, symmetric) for post in posts]


def _both(post: Post, symmetric: Collection[str]) -> Post:
    if post.relations is None:
        return post
    given = {_spans(relation) for relation in post.relations}
    added = [_swapped(relation, symmetric) for relation in post.relations]
    new = {_spans(relation): relation for relation in added if _spans(relation) not in given}
    return replace(post, relations=(*post.relations, *new.values()))


def _swapped(relation: Relation, symmetric: Collection[str]) -> Relation:
    type_ = relation.type if relation.type in symmetric else NO_RELATION
    return replace(relation, head=relation.tail, tail=relation.head, type=type_)


def _spans(relation: Relation) -> tuple[int, int, int, int]:
    return relation.head.start, relation.head.end, relation.tail.start, relation.tail.end


ARGUMENT_ORDERS: Mapping[str, ArgumentOrder] = {"given": given_order, "both": both_orders}
"""Each rule by name."""
