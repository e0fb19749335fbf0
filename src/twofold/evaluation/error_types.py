"""Error types of predicted spans and relations.

Every predicted span is exactly one of these, by the gold spans of its post:

- ``right``: a gold span has the same boundaries and the same type;
- ``wrong_type``: else, a gold span has the same boundaries;
- ``wrong_boundary``: else, a gold span overlaps it, of whatever type;
- ``spurious``: no gold span overlaps it.

Every predicted relation is one of these, by the gold relations of its post, ignoring the types of arguments:

- ``right``: a gold relation is the same, with the same head and the same tail;
- ``wrong_relation``: else, a gold relation of another class has the same head and tail;
- ``wrong_direction``: else, a gold relation has head and tail swapped;
- ``wrong_arguments``: else, head and tail overlap the arguments of an annotated pair, one each;
- ``spurious``: head and tail are known to be unrelated. For a pair that is not annotated this is known only
  where the post is annotated completely; else the relation has no error type and is not counted.

A gold item that no prediction equals is missed, also where a prediction only has a wrong type, boundary or
argument.
This module does not know confidences.
"""

from __future__ import annotations

from collections.abc import Collection

from twofold.evaluation.relations import NONE
from twofold.evaluation.spans import Span
from twofold.evaluation.triples import Triple

RIGHT, WRONG_TYPE, WRONG_BOUNDARY, SPURIOUS = "right", "wrong_type", "wrong_boundary", "spurious"
WRONG_RELATION, WRONG_DIRECTION, WRONG_ARGUMENTS = "wrong_relation", "wrong_direction", "wrong_arguments"


def span_error_type(predicted: Span, gold: Collection[Span]) -> str:
    """Error type of a predicted span, one of the four."""
    start, end, _ = predicted
    if predicted in gold:
        return RIGHT
    if any((a, b) == (start, end) for a, b, _ in gold):
        return WRONG_TYPE
    if any(a < end and start < b for a, b, _ in gold):
        return WRONG_BOUNDARY
    return SPURIOUS


def relation_error_type(predicted: Triple, gold: Collection[Triple], *, complete: bool) -> str | None:
    """Error type of a predicted relation, one of the five; None where the annotation does not say.

    Args:
        predicted: the relation.
        gold: all annotated pairs of the post, unrelated pairs as ``None``, symmetric relations in both
            directions (`with_reversed`).
        complete: whether a pair that is not annotated is known to be unrelated.
    """
    arguments = predicted.head[:2], predicted.tail[:2]
    same = {g.relation for g in gold if (g.head[:2], g.tail[:2]) == arguments}
    reversed_ = {g.relation for g in gold if (g.tail[:2], g.head[:2]) == arguments}
    if predicted.relation in same:
        return RIGHT
    if same - {NONE}:
        return WRONG_RELATION
    if reversed_ - {NONE}:
        return WRONG_DIRECTION
    if same or reversed_:
        return SPURIOUS
    if any(_overlap(predicted, g.head, g.tail) or _overlap(predicted, g.tail, g.head) for g in gold):
        return WRONG_ARGUMENTS
    return SPURIOUS if complete else None


def _overlap(predicted: Triple, head: Span, tail: Span) -> bool:
    pairs = ((predicted.head, head), (predicted.tail, tail))
    return all(a[0] < b[1] and b[0] < a[1] for a, b in pairs)
