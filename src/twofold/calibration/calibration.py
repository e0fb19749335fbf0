"""The fitted calibration of a model, as it is stored in the model folder in ``calibration.json``.

    {"temperature": 1.27,
     "temperature_by_type": {"PER": 1.2},                          types with their own temperature
     "decision_rule": {"threshold": 0.4, "temperature": 1.3},      for F1-optimal decoding, see `DecisionRule`
     "isotonic": {"confidence": […], "calibrated": […]},           applied after the temperature
     "risk_curve": {"threshold": […], …},                          see `RiskCurve`
     "conformal": {"score": "lac", "classes": […], …}}             see `ConformalQuantiles`; null is infinity

Only the temperature is required. Other keys, such as how it was fitted, are ignored. This module does not
know how these are fitted or used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.conformal import COVERAGES, SCORES, ConformalQuantiles
from twofold.calibration.isotonic import Isotonic
from twofold.calibration.risk_control import RiskCurve
from twofold.crf import DecisionRule
from twofold.errors import ModelError
from twofold.model_folder.config import read_json

Floats = NDArray[np.float64]
FILE = "calibration.json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything fitted on held-out data.

    Attributes:
        temperature: divides all scores.
        temperature_by_type: replaces it for predictions of these types.
        isotonic: applied to the confidence after the temperature; None for none.
        risk_curve: counts that thresholds for an error rate are found from; None where not fitted.
        conformal: quantiles of prediction sets; None where not fitted.
        decision_rule: which spans or relations to predict for a large F1; None for Viterbi decoding or the
            most probable class.
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
    """A calibration as plain data, without parts that are None or empty."""
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
        ModelError: the file does not hold a calibration.
    """
    try:
        return from_record(read_json(path))
    except ValueError as error:
        raise ModelError(
            f"the calibration cannot be read: {error}",
            where=str(path),
            do="calibrate the model again: twofold calibrate MODEL DATA -o OUT",
        ) from error


def from_record(record: Mapping[str, Any]) -> Calibration:
    """The inverse of `to_record`.

    Raises:
        ValueError: the record is not valid; the message names the part that is wrong.
    """

    def part(name: str, parse: Callable[[Any], T]) -> T | None:
        return _part(record, name, parse) if name in record else None

    return Calibration(
        _part(record, "temperature", _temperature),
        part("temperature_by_type", lambda x: {str(kind): _temperature(t) for kind, t in x.items()}) or {},
        part("isotonic", lambda x: Isotonic(**_arrays(x))),
        part("risk_curve", _risk_curve),
        part("conformal", _conformal),
        part("decision_rule", lambda x: DecisionRule(**x)),
    )


def _part(record: Mapping[str, Any], name: str, parse: Callable[[Any], T]) -> T:
    """Parse a part of a record, and turn any error into a message for users."""
    if name not in record:
        raise ValueError(f"it has no {name}")
    try:
        return parse(record[name])
    except _InvalidError as error:
        raise ValueError(f"{name}: {error}") from error
    except KeyError as error:
        raise ValueError(f"{name} has no {error.args[0]}") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{name} holds a value of the wrong type, or a key is missing or unknown") from error


class _InvalidError(ValueError):
    """A value of the right type that is not valid; the message is for users."""


def _temperature(value: Any) -> float:
    if not 0 < float(value) < float("inf"):
        raise _InvalidError(f"{value} is not a finite number above 0")
    return float(value)


def _risk_curve(record: Mapping[str, Any]) -> RiskCurve:
    arrays = _arrays({key: value for key, value in record.items() if key != "correlation"})
    return RiskCurve(**arrays, correlation=float(record["correlation"]))


def _conformal(record: Mapping[str, Any]) -> ConformalQuantiles:
    classes, score = tuple(map(str, record["classes"])), record["score"]
    marginal, per_class = (_array(record[name]) for name in ("marginal", "per_class"))
    shapes = (marginal.shape, per_class.shape)
    if score not in SCORES or shapes != ((len(COVERAGES),), (len(classes), len(COVERAGES))):
        raise _InvalidError("the quantiles have the wrong shape or an unknown score")
    counts = tuple(map(int, record["class_counts"]))
    return ConformalQuantiles(score, classes, counts, marginal, per_class)


def _arrays(record: Mapping[str, Any]) -> dict[str, Floats]:
    arrays = {str(key): _array(value) for key, value in record.items()}
    if len({array.shape for array in arrays.values()}) != 1:
        raise _InvalidError("its lists have different lengths")
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
