"""Prints what `extract --max-error` accepts, and the error rate that is guaranteed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.calibration.risk_control import RiskControl


def risk_line(risk: RiskControl, what: str, between_entities: bool = False) -> str:
    """What is accepted, and the error rate that is guaranteed.

    Args:
        risk: of the model's calibration.
        what: name of the predictions, in the plural.
        between_entities: whether it holds only where the entities are right.
    """
    if risk.threshold is None:
        # Deferred: the model that was loaded has imported it already.
        from twofold.calibration.review_policy import achievable_error, no_threshold_reason

        smallest = achievable_error(risk, what)
        other = f"; the smallest error rate with a threshold is {smallest}" if smallest else ""
        return f"all {what} are marked for review: {no_threshold_reason(risk, what)}{other}"
    where = " and between entities that are right" if between_entities else ""
    return (
        f"{what} of confidence {risk.threshold:.3f} or more are accepted, {risk.coverage:.0%} of those in "
        f"the model's calibration; at most {risk.max_error:.1%} of them are wrong on posts like those{where} "
        f"({risk.confidence:.0%} confidence). The others are marked for review"
    )
