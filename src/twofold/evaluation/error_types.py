"""What kind of mistake a predicted span or relation is.

Exactly one holds for every predicted span, by the gold spans of its post:

- ``right``: a gold span has its borders and its type;
- ``wrong_type``: else, a gold span has its borders;
- ``wrong_boundary``: else, a gold span shares a position with it, of whatever type;
- ``spurious``: no gold span shares a position with it.

And one for every predicted relation, by the gold ones of its post, the types of their ends aside:

- ``right``: a gold relation is the same, with the same head and the same tail;
- ``wrong_relation``: else, head and tail stand in another relation;
- ``wrong_direction``: else, they stand in some relation the other way round;
- ``wrong_ends``: else, head and tail, one each, share a position with the ends of an annotated pair, and are
  not these;
- ``spurious``: head and tail are known to stand in no relation. Of a pair that nothing was annotated of, this
  is known only where a post is annotated completely; else it is not judged.

Gold that nothing predicted equals is missed; what has a wrong type, border or end misses one as well.
It does not know confidences.
"""

from __future__ import annotations

from collections.abc import Collection

from twofold.evaluation.relations import NONE
from twofold.evaluation.spans import Span
from twofold.evaluation.triples import Triple

RIGHT, WRONG_TYPE, WRONG_BOUNDARY, SPURIOUS = "right", "wrong_type", "wrong_boundary", "spurious"
WRONG_RELATION, WRONG_DIRECTION, WRONG_ENDS = "wrong_relation", "wrong_direction", "wrong_ends"
MISTAKES = (WRONG_TYPE, WRONG_BOUNDARY, SPURIOUS)


def kind_of(found: Span, gold: Collection[Span]) -> str:
    """Which of the four a predicted span is."""
    start, end, _ = found
    if found in gold:
        return RIGHT
    if any((a, b) == (start, end) for a, b, _ in gold):
        return WRONG_TYPE
    if any(a < end and start < b for a, b, _ in gold):
        return WRONG_BOUNDARY
    return SPURIOUS


def kind_of_triple(found: Triple, gold: Collection[Triple], *, complete: bool) -> str | None:
    """Which of its kinds a predicted relation is; None where nobody can judge it.

    Args:
        found: the relation.
        gold: all annotated pairs of the post, those in no relation as ``None``, symmetric relations from
            either end (`either_way`).
        complete: whether a pair that is not annotated is known to stand in no relation.
    """
    ends = found.head[:2], found.tail[:2]
    same = {g.relation for g in gold if (g.head[:2], g.tail[:2]) == ends}
    turned = {g.relation for g in gold if (g.tail[:2], g.head[:2]) == ends}
    if found.relation in same:
        return RIGHT
    if same - {NONE}:
        return WRONG_RELATION
    if turned - {NONE}:
        return WRONG_DIRECTION
    if same or turned:
        return SPURIOUS
    if any(_touch(found, g.head, g.tail) or _touch(found, g.tail, g.head) for g in gold):
        return WRONG_ENDS
    return SPURIOUS if complete else None


def _touch(found: Triple, head: Span, tail: Span) -> bool:
    pairs = ((found.head, head), (found.tail, tail))
    return all(a[0] < b[1] and b[0] < a[1] for a, b in pairs)
