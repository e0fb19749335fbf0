"""What `extract --max-error` keeps, and how much of it may be wrong, as a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.calibration.risk_control import RiskControl


def risk_line(promise: RiskControl, what: str, between_entities: bool = False) -> str:
    """What is kept, and how much of it may be wrong.

    Args:
        promise: of the model's calibration.
        what: is kept, in the plural.
        between_entities: whether it holds only where the entities are right.
    """
    if promise.threshold is None:
        # Deferred: the model that was loaded has imported it already.
        from twofold.calibration.review_policy import refusal

        least = f"; {promise.instead.error:.1%} could be" if promise.instead else ""
        return f"all {what} are marked for review: {refusal(promise, what)}{least}"
    where = " and between entities that are right" if between_entities else ""
    return (
        f"kept are {what} of confidence {promise.threshold:.3f} or more, {promise.coverage:.0%} of those "
        f"in the model's calibration; at most {promise.error:.1%} of them are wrong on posts like those"
        f"{where} ({promise.confidence:.0%} sure). The others are marked for review"
    )
