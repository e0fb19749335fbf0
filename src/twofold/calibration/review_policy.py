"""The decision on each entity and relation: its confidence, whether a person should review it, its
prediction set.

A review policy combines the calibration of a model folder with the requested maximum error rate and coverage
of prediction sets. An error is raised if the calibration cannot guarantee the error rate.

Shape letters: S spans of a post, or pairs; C classes; K relations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import FILE, Calibration, read_calibration
from twofold.calibration.conformal import ConformalQuantiles, coverage_index, with_predicted
from twofold.calibration.entities import class_probabilities, span_confidences
from twofold.calibration.relations import relation_probabilities
from twofold.calibration.risk_control import RiskControl, control_risk
from twofold.crf import ChainDecoder, TagSpan
from twofold.errors import ConfigError, ModelError
from twofold.inference.confidence import Decision
from twofold.model_folder.folder import ModelFolder

Floats = NDArray[np.float64]
Emissions = Sequence[NDArray[np.floating]]

_MAX_FACTOR = 100
"""Above this factor, the message does not say how many more labelled posts are needed."""
_CALIBRATE = "calibrate it on labelled posts like your own: twofold calibrate MODEL DATA -o OUT"
_OWN_LIMIT = "; or set a separate rate for relations (--max-relation-error), or omit them (--no-relations)"
_NO_RELATIONS = "; or extract entities only (--no-relations)"


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """How to decide on the predictions of a model.

    Attributes:
        calibration: calibration of the model.
        risk: result for the requested error rate; None where none was requested. Where no threshold
            guarantees it, ``risk.threshold`` is None and everything is to be reviewed.
        conformal: quantiles of the prediction sets. coverage: their coverage. Both None for no sets.
    """

    calibration: Calibration
    risk: RiskControl | None = None
    conformal: ConformalQuantiles | None = None
    coverage: float | None = None

    def decisions(
        self, confidences: Floats, probabilities: Callable[[], Floats], predicted: Sequence[int]
    ) -> list[Decision]:
        """The decision on each prediction.

        Args:
            confidences: (S,) calibrated confidences.
            probabilities: returns the probabilities of all classes, (S, C); called only where needed.
            predicted: (S,) index of the predicted class.
        """
        candidates = self._candidates(probabilities, predicted)
        return [
            Decision(c, self._review(c), names)
            for c, names in zip(confidences.tolist(), candidates, strict=True)
        ]

    def _review(self, confidence: float) -> bool | None:
        if self.risk is None:
            return None
        return self.risk.threshold is None or confidence < self.risk.threshold

    def _candidates(
        self, probabilities: Callable[[], Floats], predicted: Sequence[int]
    ) -> Sequence[tuple[str, ...] | None]:
        """Classes of each prediction set, the most probable first."""
        if self.conformal is None or self.coverage is None:
            return [None] * len(predicted)
        table = probabilities()
        sets = with_predicted(self.conformal.prediction_sets(table, self.coverage), predicted)
        orders = np.argsort(-table, axis=1, kind="stable")
        return [
            tuple(self.conformal.classes[c] for c in order if row[c])
            for order, row in zip(orders, sets, strict=True)
        ]


class CalibratedEntityDecider:
    """See `twofold.inference.tagger.EntityDecider`.

    Args:
        policy: review policy of the tagger.
    """

    def __init__(self, policy: ReviewPolicy) -> None:
        self._policy, self.risk = policy, policy.risk

    def decide(
        self, decoder: ChainDecoder, emissions: Emissions, spans: Sequence[Sequence[TagSpan]]
    ) -> list[list[Decision]]:
        """The decision on each span of each post."""
        confidences = span_confidences(self._policy.calibration, decoder, emissions, spans)
        return [
            self._decide_post(decoder, states, row, values)
            for states, row, values in zip(emissions, spans, confidences, strict=True)
        ]

    def _decide_post(
        self, decoder: ChainDecoder, states: NDArray[np.floating], row: Sequence[TagSpan], values: Floats
    ) -> list[Decision]:
        def probabilities() -> Floats:
            (table,) = class_probabilities(self._policy.calibration, decoder, [states], [row])
            return table

        return self._policy.decisions(values, probabilities, [decoder.types.index(s.type) for s in row])


class CalibratedRelationDecider:
    """See `twofold.inference.relation_extractor.RelationDecider`.

    Args:
        policy: review policy of the relation model.
        labels: its K relations.
    """

    def __init__(self, policy: ReviewPolicy, labels: Sequence[str]) -> None:
        self._policy, self._labels, self.risk = policy, labels, policy.risk

    def decide(self, scores: Floats, predicted: Sequence[int]) -> list[Decision]:
        """The decision on each pair."""
        table = relation_probabilities(self._policy.calibration, self._labels, scores, predicted)
        return self._policy.decisions(table[np.arange(len(predicted)), predicted], lambda: table, predicted)


def entity_decider(
    folder: ModelFolder, max_error: float | None = None, coverage: float | None = None
) -> CalibratedEntityDecider:
    """The decider for the tagger in a model folder.

    Args:
        folder: a checked model folder.
        max_error: maximum error rate of the accepted entities, in (0, 1); None to accept all.
        coverage: coverage of the prediction sets, in [0.5, 0.99]; None for no sets.

    Raises:
        ModelError: the calibration has no thresholds or no prediction sets.
        ConfigError: no threshold guarantees this error rate; the message gives the smallest one that a
            threshold does.
    """
    return CalibratedEntityDecider(_policy(folder, max_error, coverage, "entities"))


def relation_decider(
    folder: ModelFolder, max_error: float | None = None, coverage: float | None = None
) -> CalibratedRelationDecider:
    """The decider for the relation model in a folder; arguments and errors as in `entity_decider`."""
    return CalibratedRelationDecider(_policy(folder, max_error, coverage, "relations"), folder.config.labels)


def following_relation_decider(
    folder: ModelFolder, max_error: float | None = None, coverage: float | None = None
) -> CalibratedRelationDecider:
    """As `relation_decider`, for an error rate that was set for entities and applies to relations, too.

    Where no threshold guarantees it for relations, this is no error: all relations are marked for review.
    """
    policy = _policy(folder, max_error, coverage, "relations", lambda risk, _: risk)
    return CalibratedRelationDecider(policy, folder.config.labels)


def _require_threshold(risk: RiskControl, what: str) -> RiskControl:
    if risk.threshold is None:
        raise ConfigError(
            no_threshold_reason(risk, what),
            expected=_achievable(risk, what),
            do=_remedy(risk) + (_OWN_LIMIT if what == "relations" else ""),
        )
    return risk


def _policy(
    folder: ModelFolder,
    max_error: float | None,
    coverage: float | None,
    what: str,
    check: Callable[[RiskControl, str], RiskControl] = _require_threshold,
) -> ReviewPolicy:
    where = folder.path / FILE
    calibration = read_calibration(where)
    remedy = _CALIBRATE + (_NO_RELATIONS if what == "relations" else "")
    risk = None
    if max_error is not None:
        if calibration.risk_curve is None:
            raise ModelError(f"the model has no thresholds for {what}", where=str(where), do=remedy)
        risk = check(control_risk(calibration.risk_curve, max_error), what)
    if coverage is None:
        return ReviewPolicy(calibration, risk)
    if calibration.conformal is None:
        raise ModelError(f"the model has no prediction sets for {what}", where=str(where), do=remedy)
    coverage_index(coverage)
    return ReviewPolicy(calibration, risk, calibration.conformal, coverage)


# --- why there is no threshold -----------------------------------------------------------------------


def no_threshold_reason(risk: RiskControl, what: str) -> str:
    """Why no threshold guarantees an error rate, with numbers.

    Args:
        risk: without a threshold.
        what: name of the predictions, in the plural.
    """
    start = (
        f"no confidence threshold guarantees that at most {risk.max_error:.1%} of the {what} are wrong "
        f"({risk.confidence:.0%} confidence)"
    )
    if not risk.accepted:
        return f"{start}: the calibration posts have no {what} that could be tested"
    if _too_few(risk):
        have = f"the calibration posts have {risk.accepted}"
        return f"{start}: that takes at least {_needed(risk)} {what} that can be tested, and {have}"
    return (
        f"{start}: {risk.errors} of the {risk.accepted} most confident are wrong, so that the error rate may "
        f"be as high as {risk.upper_bound:.1%}"
    )


def _needed(risk: RiskControl) -> int:
    """Number n of predictions without an error that show the error rate: (1 − ε)ⁿ ≤ 1 − confidence."""
    return math.ceil(math.log(1 - risk.confidence) / math.log(1 - risk.max_error))


def _too_few(risk: RiskControl) -> bool:
    return risk.accepted < _needed(risk)


def achievable_error(risk: RiskControl, what: str) -> str | None:
    """The smallest error rate that a threshold guarantees, in words; None where none does."""
    if risk.achievable is None:
        return None
    return f"{risk.achievable.max_error:.3g} ({risk.achievable.coverage:.0%} of the {what} are accepted)"


def _achievable(risk: RiskControl, what: str) -> str:
    smallest = achievable_error(risk, what)
    return "a model that is right more often" if smallest is None else f"an error rate of at least {smallest}"


def _remedy(risk: RiskControl) -> str:
    if risk.data_factor is None and not _too_few(risk):
        return "set a higher error rate, or calibrate on other posts"
    if _too_few(risk):  # how many more are needed beyond that would be noise
        if not risk.accepted:
            return "set a higher error rate, or calibrate on more labelled posts"
        times = _in_words(math.ceil(10 * _needed(risk) / risk.accepted) / 10)
        return f"set a higher error rate, or calibrate on at least {times} times as many labelled posts"
    assert risk.data_factor is not None
    if risk.data_factor > _MAX_FACTOR:
        return (
            f"set a higher error rate; more than {_MAX_FACTOR} times as many labelled posts would be needed"
        )
    times = _in_words(risk.data_factor)
    return f"set a higher error rate, or calibrate on about {times} times as many labelled posts"


def _in_words(factor: float) -> str:
    return f"{factor:.1f}" if factor < 10 else f"{factor:.0f}"
