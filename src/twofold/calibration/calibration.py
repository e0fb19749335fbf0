"""What was fitted after training, as it travels with a model in ``calibration.json``.

    {"temperature": 1.27,
     "choice": {"threshold": 0.4, "temperature": 1.3},      which spans a tagger tells, see `DecisionRule`
     "temperatures": {"PER": 1.2},                          where types have their own
     "isotonic": {"confidence": […], "calibrated": […]},    where there is one, after the temperature
     "risk": {"threshold": […], …},                         see `RiskTable`; all of it optional but the first
     "sets": {"score": "lac", "answers": […], …}}           see `Lines`; null stands for infinity

Other keys, such as how it was fitted, are passed over. It does not know how these are fitted or used.
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

from twofold.calibration.conformal import LEVELS, SCORES, Lines
from twofold.calibration.isotonic import Isotonic
from twofold.calibration.risk_control import RiskTable
from twofold.crf import DecisionRule
from twofold.errors import ModelError

Floats = NDArray[np.float64]
FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything fitted on held-out data.

    Attributes:
        temperature: divides all scores.
        temperatures: by predicted type, instead of the other; a type may be missing.
        isotonic: applied to the confidence after that; None for none.
        risk: what thresholds for a stated error are found from; None where not fitted.
        sets: what sets of answers are found from; None where not fitted.
        decision_rule: which spans a tagger tells; None for those of the best sequence, and of relations.
    """

    temperature: float
    temperatures: Mapping[str, float] = field(default_factory=dict)
    isotonic: Isotonic | None = None
    risk: RiskTable | None = None
    sets: Lines | None = None
    decision_rule: DecisionRule | None = None

    def temperature_of(self, kind: str) -> float:
        """Temperature for predictions of this type."""
        return self.temperatures.get(kind, self.temperature)


def to_record(calibration: Calibration) -> dict[str, Any]:
    """As plain data, without what is not there."""
    record: dict[str, Any] = {"temperature": calibration.temperature}
    if calibration.temperatures:
        record["temperatures"] = dict(calibration.temperatures)
    if calibration.decision_rule is not None:
        record["choice"] = calibration.decision_rule._asdict()
    parts = {"isotonic": calibration.isotonic, "risk": calibration.risk, "sets": calibration.sets}
    for name, part in parts.items():
        if part is not None:
            values = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
            record[name] = {key: _plain(value) for key, value in values.items()}
    return record


def read_calibration(path: Path) -> Calibration:
    """Read ``calibration.json``.

    Raises:
        ModelError: it is not what it should be.
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
    """The opposite of `to_record`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none.
    """
    return Calibration(
        _temperature(record["temperature"]),
        {str(kind): _temperature(value) for kind, value in record.get("temperatures", {}).items()},
        Isotonic(**_arrays(record["isotonic"])) if "isotonic" in record else None,
        _risk(record["risk"]) if "risk" in record else None,
        _sets(record["sets"]) if "sets" in record else None,
        DecisionRule(**record["choice"]) if "choice" in record else None,
    )


def _temperature(value: Any) -> float:
    if not 0 < float(value) < float("inf"):
        raise ValueError(f"temperature is {value}")
    return float(value)


def _risk(record: Mapping[str, Any]) -> RiskTable:
    arrays = _arrays({key: value for key, value in record.items() if key != "correlation"})
    return RiskTable(**arrays, correlation=float(record["correlation"]))


def _sets(record: Mapping[str, Any]) -> Lines:
    answers, score = tuple(map(str, record["answers"])), record["score"]
    marginal, per_class = (_array(record[name]) for name in ("marginal", "per_class"))
    if score not in SCORES or per_class.shape != (len(answers), len(LEVELS)) or len(marginal) != len(LEVELS):
        raise ValueError("the lines of the sets do not fit")
    return Lines(score, answers, tuple(map(int, record["held_out"])), marginal, per_class)


def _arrays(record: Mapping[str, Any]) -> dict[str, Floats]:
    arrays = {str(key): _array(value) for key, value in record.items()}
    if len({array.shape for array in arrays.values()}) != 1:
        raise ValueError("its lists are of different lengths")
    return arrays


def _array(values: Any) -> Floats:
    array = np.array(values, np.float64)  # None becomes nan
    return np.where(np.isnan(array), np.inf, array)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
