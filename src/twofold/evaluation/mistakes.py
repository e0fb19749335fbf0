"""What kind of mistake a predicted span is.

Exactly one holds for every predicted span, by the gold spans of its post:

- ``right``: a gold span has its borders and its type;
- ``wrong_type``: else, a gold span has its borders;
- ``wrong_boundary``: else, a gold span shares a position with it, of whatever type;
- ``spurious``: no gold span shares a position with it.

Gold spans that no predicted span equals are missed; a span with a wrong type or border misses one as well.
It does not know confidences.
"""

from __future__ import annotations

from collections.abc import Collection

from twofold.evaluation.spans import Span

RIGHT, WRONG_TYPE, WRONG_BOUNDARY, SPURIOUS = "right", "wrong_type", "wrong_boundary", "spurious"
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
