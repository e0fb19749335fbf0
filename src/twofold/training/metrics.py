"""Calibration and scores as a model folder records them, scores in per cent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from twofold.calibration import write as writing
from twofold.calibration.calibration import Calibration
from twofold.calibration.fit import CalibrationFit
from twofold.calibration.temperature import TemperatureFit
from twofold.calibration.write import write_json
from twofold.evaluation.spans import SpanScore
from twofold.model_folder.folder import ModelFolder, open_folder, write_manifest


def open_uncalibrated(folder: Path) -> ModelFolder:
    """Write a temperature of 1 and the manifest into a folder, and open it."""
    write_json(folder / "calibration.json", {"temperature": 1.0})
    write_manifest(folder)
    return open_folder(folder)


def write_calibration(folder: Path, fit: CalibrationFit) -> None:
    """Write a calibration, how and on which files it was fitted; and the manifest again."""
    writing.write_calibration(folder, fit)
    write_manifest(folder)


def temperature_only(fit: TemperatureFit | None, files: Iterable[str], why: str) -> CalibrationFit:
    """A calibration with a temperature only.

    Args:
        fit: None where the model predicts nothing to fit it on; the temperature is 1 then.
        files: those that it was fitted on.
        why: reason why there are no thresholds and no prediction sets.
    """
    description = {"method": "temperature", "fitted_on": list(files), "note": why}
    if fit is None:
        return CalibrationFit(Calibration(1.0), description)
    metrics = {name: value for name, value in asdict(fit).items() if name != "temperature"}
    return CalibrationFit(Calibration(fit.temperature), description | metrics)


def percentages(score: SpanScore) -> dict[str, float]:
    """A score in per cent, with the number of gold spans or pairs."""
    values = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return {name: round(100 * value, 2) for name, value in values.items()} | {"gold": score.gold}
