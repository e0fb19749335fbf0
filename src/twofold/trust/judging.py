"""What is said of each entity: its confidence, whether a person should look at it, and a set of types.

It reads what `calibrate_entities` fitted from a model folder and turns a wish (an error at most, a level
of sets) into a judge for the tagger, or says why it cannot be granted.

Shape letters: S spans of a post, C answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ConfigError, ModelError
from twofold.runtime.decoding import ChainDecoder, TagSpan
from twofold.runtime.folder import ModelFolder
from twofold.runtime.tagging import Judgement
from twofold.trust.calibrated import FILE, Calibration, read_calibration
from twofold.trust.conformal import level_place
from twofold.trust.entities import answer_chances, answer_sets, span_confidences
from twofold.trust.risk import CONFIDENCE, RiskControl, control

Floats = NDArray[np.float64]
Emissions = Sequence[NDArray[np.floating]]

_CALIBRATE = "calibrate it on labelled posts like your own: twofold calibrate MODEL DATA -o OUT"


class EntityJudge:
    """See `twofold.runtime.tagging.Judge`.

    Args:
        calibration: of the model.
        promise: granted control of the error; None where none was asked for.
        level: of the sets; None for no sets.
    """

    def __init__(
        self, calibration: Calibration, promise: RiskControl | None = None, level: float | None = None
    ) -> None:
        self._calibration, self.promise, self._level = calibration, promise, level

    def judge(
        self, decoder: ChainDecoder, emissions: Emissions, spans: Sequence[Sequence[TagSpan]]
    ) -> list[list[Judgement]]:
        """A judgement a span of each post."""
        confidences = span_confidences(self._calibration, decoder, emissions, spans)
        sets = self._candidates(decoder, emissions, spans)
        return [
            [Judgement(c, self._review(c), s) for c, s in zip(values.tolist(), row, strict=True)]
            for values, row in zip(confidences, sets, strict=True)
        ]

    def _review(self, confidence: float) -> bool | None:
        if self.promise is None or self.promise.threshold is None:
            return None
        return confidence < self.promise.threshold

    def _candidates(
        self, decoder: ChainDecoder, emissions: Emissions, spans: Sequence[Sequence[TagSpan]]
    ) -> Sequence[Sequence[tuple[str, ...] | None]]:
        if self._level is None or self._calibration.sets is None:
            return [[None] * len(row) for row in spans]
        tables = answer_chances(self._calibration, decoder, emissions, spans)
        return [self._named(decoder, *pair) for pair in zip(tables, spans, strict=True)]

    def _named(
        self, decoder: ChainDecoder, chances: Floats, spans: Sequence[TagSpan]
    ) -> list[tuple[str, ...]]:
        """Answers of each set, the most probable first."""
        lines = self._calibration.sets
        assert lines is not None
        assert self._level is not None
        found = [decoder.types.index(span.type) for span in spans]
        sets = answer_sets(lines, chances, found, self._level)
        orders = np.argsort(-chances, axis=1, kind="stable")
        return [
            tuple(lines.answers[c] for c in order if held[c])
            for order, held in zip(orders, sets, strict=True)
        ]


def entity_judge(
    folder: ModelFolder, max_error: float | None = None, level: float | None = None
) -> EntityJudge:
    """The judge of a tagger's folder.

    Args:
        folder: a checked folder.
        max_error: part of what is kept that may be wrong, in (0, 1); None to keep everything unmarked.
        level: how often sets shall hold the truth, in [0.5, 0.99]; None for no sets.

    Raises:
        ModelError: the model was never calibrated for that.
        ConfigError: no threshold can be promised for this error on the model's data; the message says
            what can be.
    """
    where = folder.path / FILE
    calibration = read_calibration(where)
    promise = None
    if max_error is not None:
        if calibration.risk is None:
            raise ModelError("the model knows no thresholds", where=str(where), do=_CALIBRATE)
        promise = _granted(control(calibration.risk, max_error))
    if level is not None:
        if calibration.sets is None:
            raise ModelError("the model knows no sets", where=str(where), do=_CALIBRATE)
        level_place(level)
    return EntityJudge(calibration, promise, level)


def _granted(found: RiskControl) -> RiskControl:
    if found.threshold is not None:
        return found
    what = (
        f"at most {found.error:.1%} wrong cannot be promised at {CONFIDENCE:.0%} confidence: where the model "
        f"is surest, {found.errors} of {found.kept} entities of the test half were wrong, so "
        f"that up to {found.bound:.1%} may be"
    )
    raise ConfigError(what, expected=_possible(found), do=_remedy(found))


def _possible(found: RiskControl) -> str:
    other = found.instead
    if other is None:
        return "a model that is right more often"
    return f"{other.error:.3g} or more, which keeps {other.coverage:.0%} of the entities"


def _remedy(found: RiskControl) -> str:
    if found.more_data is None:
        return "allow more errors, or calibrate on other posts"
    return f"calibrate on about {found.more_data:.1f} times as many labelled posts, or allow more errors"
