"""What is said of each entity and relation: its confidence, whether a person should look at it, and a set
of answers.

It reads what was fitted (`fitting`) from a model folder and turns a wish (an error at most, a level of sets)
into a decider for the tagger or the relation extractor, or says why it cannot be granted.

Shape letters: S spans of a post, or pairs; C answers; K relations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import FILE, Calibration, read_calibration
from twofold.calibration.conformal import Lines, level_place
from twofold.calibration.entities import answer_chances, span_confidences
from twofold.calibration.methods import answer_sets
from twofold.calibration.relations import relation_chances
from twofold.calibration.risk_control import CONFIDENCE, RiskControl, control
from twofold.crf import ChainDecoder, TagSpan
from twofold.errors import ConfigError, ModelError
from twofold.inference.confidence import Decision
from twofold.model_folder.folder import ModelFolder

Floats = NDArray[np.float64]
Emissions = Sequence[NDArray[np.floating]]

_CALIBRATE = "calibrate it on labelled posts like your own: twofold calibrate MODEL DATA -o OUT"
_APART = "; relations may have a limit of their own (--max-relation-error), or none (--no-relations)"
_WITHOUT = "; or look for entities only (--no-relations)"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked of a model, and granted.

    Attributes:
        calibration: of the model.
        risk: control of the error; None where none was asked for, without a threshold where nothing could
            be promised and so everything is to be reviewed.
        lines: of the sets. level: of the sets. Both None for no sets.
    """

    calibration: Calibration
    risk: RiskControl | None = None
    lines: Lines | None = None
    level: float | None = None

    def decisions(
        self, confidences: Floats, chances: Callable[[], Floats], found: Sequence[int]
    ) -> list[Decision]:
        """A decision on each prediction.

        Args:
            confidences: (S,) calibrated.
            chances: gives those of all answers, (S, C), where they are needed.
            found: (S,) number of the answer found.
        """
        sets = self._candidates(chances, found)
        return [
            Decision(c, self._review(c), names) for c, names in zip(confidences.tolist(), sets, strict=True)
        ]

    def _review(self, confidence: float) -> bool | None:
        if self.risk is None:
            return None
        return self.risk.threshold is None or confidence < self.risk.threshold

    def _candidates(
        self, chances: Callable[[], Floats], found: Sequence[int]
    ) -> Sequence[tuple[str, ...] | None]:
        """Answers of each set, the most probable first."""
        if self.lines is None or self.level is None:
            return [None] * len(found)
        table = chances()
        sets = answer_sets(self.lines, table, found, self.level)
        orders = np.argsort(-table, axis=1, kind="stable")
        return [
            tuple(self.lines.answers[c] for c in order if held[c])
            for order, held in zip(orders, sets, strict=True)
        ]


class CalibratedEntityDecider:
    """See `twofold.inference.tagger.EntityDecider`.

    Args:
        wishes: granted to the tagger.
    """

    def __init__(self, wishes: Wishes) -> None:
        self._wishes, self.risk = wishes, wishes.risk

    def decide(
        self, decoder: ChainDecoder, emissions: Emissions, spans: Sequence[Sequence[TagSpan]]
    ) -> list[list[Decision]]:
        """A decision on each span of each post."""
        confidences = span_confidences(self._wishes.calibration, decoder, emissions, spans)
        return [
            self._decided(decoder, states, row, values)
            for states, row, values in zip(emissions, spans, confidences, strict=True)
        ]

    def _decided(
        self, decoder: ChainDecoder, states: NDArray[np.floating], row: Sequence[TagSpan], values: Floats
    ) -> list[Decision]:
        found = [decoder.types.index(span.type) for span in row]

        def chances() -> Floats:
            (table,) = answer_chances(self._wishes.calibration, decoder, [states], [row])
            return table

        return self._wishes.decisions(values, chances, found)


class CalibratedRelationDecider:
    """See `twofold.inference.relation_extractor.RelationDecider`.

    Args:
        wishes: granted to the relation model.
        labels: its K relations.
    """

    def __init__(self, wishes: Wishes, labels: Sequence[str]) -> None:
        self._wishes, self._labels, self.risk = wishes, labels, wishes.risk

    def decide(self, scores: Floats, found: Sequence[int]) -> list[Decision]:
        """A decision on each pair."""
        chances = relation_chances(self._wishes.calibration, self._labels, scores, found)
        return self._wishes.decisions(chances[np.arange(len(found)), found], lambda: chances, found)


def entity_decider(
    folder: ModelFolder, max_error: float | None = None, level: float | None = None
) -> CalibratedEntityDecider:
    """The decider of a tagger's folder.

    Args:
        folder: a checked folder.
        max_error: part of what is kept that may be wrong, in (0, 1); None to keep everything unmarked.
        level: how often sets shall hold the truth, in [0.5, 0.99]; None for no sets.

    Raises:
        ModelError: the model was never calibrated for that.
        ConfigError: no threshold can be promised for this error on the model's data; the message says
            what can be.
    """
    return CalibratedEntityDecider(_wishes(folder, max_error, level, "entities"))


def relation_decider(
    folder: ModelFolder, max_error: float | None = None, level: float | None = None
) -> CalibratedRelationDecider:
    """The decider of a relation model's folder; arguments and errors as of `entity_decider`."""
    return CalibratedRelationDecider(_wishes(folder, max_error, level, "relations"), folder.config.labels)


def following_relation_decider(
    folder: ModelFolder, max_error: float | None = None, level: float | None = None
) -> CalibratedRelationDecider:
    """As `relation_decider`, for a limit that was stated for entities and that relations follow.

    Where it cannot be promised of relations, all of them are to be reviewed: entities may still be had.
    """
    wishes = _wishes(folder, max_error, level, "relations", lambda found, _: found)
    return CalibratedRelationDecider(wishes, folder.config.labels)


def _granted(found: RiskControl, what: str) -> RiskControl:
    if found.threshold is None:
        raise ConfigError(refusal(found, what), expected=_possible(found, what), do=_remedy(found, what))
    return found


def _wishes(
    folder: ModelFolder,
    max_error: float | None,
    level: float | None,
    what: str,
    grant: Callable[[RiskControl, str], RiskControl] = _granted,
) -> Wishes:
    where = folder.path / FILE
    calibration = read_calibration(where)
    remedy = _CALIBRATE + (_WITHOUT if what == "relations" else "")
    risk = None
    if max_error is not None:
        if calibration.risk is None:
            raise ModelError(f"the model knows no thresholds for {what}", where=str(where), do=remedy)
        risk = grant(control(calibration.risk, max_error), what)
    if level is None:
        return Wishes(calibration, risk)
    if calibration.sets is None:
        raise ModelError(f"the model knows no sets for {what}", where=str(where), do=remedy)
    level_place(level)
    return Wishes(calibration, risk, calibration.sets, level)


def refusal(found: RiskControl, what: str) -> str:
    """Why an error cannot be promised, with figures."""
    return (
        f"at most {found.error:.1%} wrong cannot be promised at {CONFIDENCE:.0%} confidence: where the model "
        f"is surest, {found.errors} of {found.kept} {what} of the test half were wrong, so "
        f"that up to {found.bound:.1%} may be"
    )


def _possible(found: RiskControl, what: str) -> str:
    other = found.instead
    if other is None:
        return "a model that is right more often"
    return f"{other.error:.3g} or more, which keeps {other.coverage:.0%} of the {what}"


def _remedy(found: RiskControl, what: str) -> str:
    apart = _APART if what == "relations" else ""
    if found.more_data is None:
        return "allow more errors, or calibrate on other posts" + apart
    return (
        f"calibrate on about {found.more_data:.1f} times as many labelled posts, or allow more errors{apart}"
    )
