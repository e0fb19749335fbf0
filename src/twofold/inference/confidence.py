"""How far something that was found can be trusted, as it is told beside it.

It does not know how that is found out.
"""

from __future__ import annotations

from typing import NamedTuple


class Judgement(NamedTuple):
    """Of one entity or relation.

    Attributes:
        confidence: probability in [0, 1] that it is right just as it is told.
        review: whether a person should look at it; None where no limit was set.
        candidates: set of answers, see `Entity` and `Relation`; None where none was asked for.
    """

    confidence: float
    review: bool | None = None
    candidates: tuple[str, ...] | None = None
