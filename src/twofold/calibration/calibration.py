"""The fitted calibration of a model, as it is stored in the model folder in ``calibration.json``.

    {"temperature": 1.27,
     "temperature_by_type": {"PER": 1.2},                          where types have their own
     "decision_rule": {"threshold": 0.4, "temperature": 1.3},      taggers decoding for F1, see `DecisionRule`
     "isotonic": {"confidence": […], "calibrated": […]},           where there is one, after the temperature
     "risk_curve": {"threshold": […], …},                          see `RiskCurve`
     "conformal": {"score": "lac", "classes": […], …}}             see `ConformalQuantiles`; null is infinity

All but the temperature is optional. Other keys, such as how it was fitted, are ignored. This module does not
know how these are fitted or used.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.conformal import COVERAGES, SCORES, ConformalQuantiles
from twofold.calibration.isotonic import Isotonic
from twofold.calibration.risk_control import RiskCurve
from twofold.crf import DecisionRule
from twofold.errors import ModelError

Floats = NDArray[np.float64]
FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything fitted on held-out data.

    Attributes:
        temperature: divides all scores.
        temperature_by_type: replaces it for predictions of these types.
        isotonic: applied to the confidence after the temperature; None for none.
        risk_curve: what thresholds for an error rate are found from; None where not fitted.
        conformal: quantiles of prediction sets; None where not fitted.
        decision_rule: how a tagger decodes for F1; None for Viterbi decoding, and for relations.
    """

    temperature: float
    temperature_by_type: Mapping[str, float] = field(default_factory=dict)
    isotonic: Isotonic | None = None
    risk_curve: RiskCurve | None = None
    conformal: ConformalQuantiles | None = None
    decision_rule: DecisionRule | None = None

    def temperature_of(self, kind: str) -> float:
        """Temperature for predictions of this type."""
        return self.temperature_by_type.get(kind, self.temperature)


def to_record(calibration: Calibration) -> dict[str, Any]:
    """As plain data, without what is None or empty."""
    record: dict[str, Any] = {"temperature": calibration.temperature}
    if calibration.temperature_by_type:
        record["temperature_by_type"] = dict(calibration.temperature_by_type)
    if calibration.decision_rule is not None:
        record["decision_rule"] = calibration.decision_rule._asdict()
    for name in ("isotonic", "risk_curve", "conformal"):
        part = getattr(calibration, name)
        if part is not None:
            values = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
            record[name] = {key: _to_plain(value) for key, value in values.items()}
    return record


def read_calibration(path: Path) -> Calibration:
    """Read ``calibration.json``.

    Raises:
        ModelError: it is not a calibration.
    """
    try:
        return from_record(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the calibration cannot be read: {error or type(error).__name__}",
            where=str(path),
            do="calibrate the model again: twofold calibrate MODEL DATA -o OUT",
        ) from error


def from_record(record: Mapping[str, Any]) -> Calibration:
    """The inverse of `to_record`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not such a record.
    """
    by_type = record.get("temperature_by_type", {})
    return Calibration(
        _temperature(record["temperature"]),
        {str(kind): _temperature(value) for kind, value in by_type.items()},
        Isotonic(**_arrays(record["isotonic"])) if "isotonic" in record else None,
        _risk_curve(record["risk_curve"]) if "risk_curve" in record else None,
        _conformal(record["conformal"]) if "conformal" in record else None,
        DecisionRule(**record["decision_rule"]) if "decision_rule" in record else None,
    )


def _temperature(value: Any) -> float:
    if not 0 < float(value) < float("inf"):
        raise ValueError(f"temperature is {value}")
    return float(value)


def _risk_curve(record: Mapping[str, Any]) -> RiskCurve:
    arrays = _arrays({key: value for key, value in record.items() if key != "correlation"})
    return RiskCurve(**arrays, correlation=float(record["correlation"]))


def _conformal(record: Mapping[str, Any]) -> ConformalQuantiles:
    classes, score = tuple(map(str, record["classes"])), record["score"]
    marginal, per_class = (_array(record[name]) for name in ("marginal", "per_class"))
    shapes = (marginal.shape, per_class.shape)
    if score not in SCORES or shapes != ((len(COVERAGES),), (len(classes), len(COVERAGES))):
        raise ValueError("the conformal quantiles have the wrong shape or an unknown score")
    counts = tuple(map(int, record["class_counts"]))
    return ConformalQuantiles(score, classes, counts, marginal, per_class)


def _arrays(record: Mapping[str, Any]) -> dict[str, Floats]:
    arrays = {str(key): _array(value) for key, value in record.items()}
    if len({array.shape for array in arrays.values()}) != 1:
        raise ValueError("its lists have different lengths")
    return arrays


def _array(values: Any) -> Floats:
    array = np.array(values, np.float64)  # None becomes nan
    return np.where(np.isnan(array), np.inf, array)


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_to_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
