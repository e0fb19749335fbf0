"""Calibration and scores as a model folder records them, scores in per cent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.calibration import write as writing
from twofold.calibration.calibration import Calibration
from twofold.calibration.fit import Fitted
from twofold.calibration.methods import Measured
from twofold.calibration.temperature import TemperatureFit
from twofold.calibration.write import trust_record, write_json
from twofold.evaluation.spans import SpanScore
from twofold.model_folder.folder import ModelFolder, open_folder, seal

_MAIN = ("predictions", "accuracy", "nll_before", "nll_after", "ece_before", "ece_after")


def open_uncalibrated(folder: Path) -> ModelFolder:
    """Seal and open a folder with a temperature of 1."""
    write_json(folder / "calibration.json", {"temperature": 1.0})
    seal(folder)
    return open_folder(folder)


def write_calibration(folder: Path, fitted: Fitted) -> None:
    """Write what was fitted, how and on which files; the folder is sealed again."""
    writing.write_calibration(folder, fitted)
    seal(folder)


def temperature_only(fit: TemperatureFit | None, files: Iterable[str], why: str) -> Fitted:
    """A calibration with a temperature only.

    Args:
        fit: None where the model predicts nothing to fit it on; the temperature is 1 then.
        files: it was fitted on.
        why: reason why there are no thresholds and no prediction sets.
    """
    facts = {"method": "temperature", "fitted_on": list(files), "note": why}
    if fit is None:
        return Fitted(Calibration(1.0), facts)
    metrics = {name: value for name, value in asdict(fit).items() if name != "temperature"}
    return Fitted(Calibration(fit.temperature), facts | metrics)


def trust_metrics(fitted: Fitted) -> dict[str, Any]:
    """Metrics of a calibration: all of it as ``trust``, the main ones as ``calibration``."""
    facts = dict(fitted.facts)
    if fitted.measured is not None:
        facts |= _main(fitted.measured)
    main = {name: facts[name] for name in _MAIN if name in facts}
    temperature = {"temperature": fitted.calibration.temperature}
    return {"trust": trust_record(fitted), "calibration": temperature | main}


def _main(measured: Measured) -> dict[str, float]:
    before, after = measured.before, measured.after
    return {
        "predictions": measured.predictions[1],
        "accuracy": after["accuracy"],
        "nll_before": before["nll"],
        "nll_after": after["nll"],
        "ece_before": before["ece"],
        "ece_after": after["ece"],
    }


def percentages(score: SpanScore) -> dict[str, float]:
    """A score in per cent, with the number of gold spans or pairs."""
    values = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return {name: round(100 * value, 2) for name, value in values.items()} | {"gold": score.gold}
