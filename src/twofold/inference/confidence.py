"""The decision on a prediction: its confidence, whether a person should review it, and its candidates.

It does not know how confidences are computed.
"""

from __future__ import annotations

from typing import NamedTuple


class Decision(NamedTuple):
    """The decision on one entity or relation.

    Attributes:
        confidence: probability in [0, 1] that the prediction is exactly right.
        review: True where a person should check the prediction; None where no error rate was set.
        candidates: prediction set of types, see `Entity` and `Relation`; None where no coverage was set.
    """

    confidence: float
    review: bool | None = None
    candidates: tuple[str, ...] | None = None
