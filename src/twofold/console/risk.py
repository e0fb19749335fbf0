"""Prints what `extract --max-error` accepts, and the error rate that is guaranteed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.calibration.risk_control import RiskControl


def risk_line(risk: RiskControl, what: str, between_entities: bool = False) -> str:
    """Which predictions are accepted, and the error rate that is guaranteed for them.

    Args:
        risk: of the model's calibration.
        what: name of the predictions, in the plural.
        between_entities: whether the guarantee holds only where the entities are right.
    """
    if risk.threshold is None:
        # Imported here: loading the model has already imported it.
        from twofold.calibration.review_policy import achievable_error, no_threshold_reason

        smallest = achievable_error(risk, what)
        other = f"; the smallest rate that can be guaranteed is {smallest}" if smallest else ""
        return f"all {what} are marked for review: {no_threshold_reason(risk, what)}{other}"
    where = " and between entities that are right" if between_entities else ""
    return (
        f"{what} with a confidence of at least {risk.threshold:.3f} are accepted ({risk.coverage:.0%} on the "
        f"calibration posts); on posts like these{where}, at most {risk.max_error:.1%} of them are wrong "
        f"({risk.confidence:.0%} confidence). The others are marked for review"
    )
