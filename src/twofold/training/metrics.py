"""Writing what was measured: calibration, figures in per cent, JSON files of a model folder."""

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
from twofold.model_folder.folder import ModelFolder, open_folder, seal


def open_uncalibrated(folder: Path) -> ModelFolder:
    """Seal and open a folder with a temperature of 1."""
    write_json(folder / "calibration.json", {"temperature": 1.0})
    seal(folder)
    return open_folder(folder)


def write_calibration(folder: Path, fit: CalibrationFit) -> None:
    """Write what was fitted, how and on which files; the folder is sealed again."""
    writing.write_calibration(folder, fit)
    seal(folder)


def temperature_alone(fit: TemperatureFit | None, files: Iterable[str], why: str) -> CalibrationFit:
    """A calibration with a temperature only.

    Args:
        fit: None where nothing was predicted to fit one on; the temperature is 1 then.
        files: it was fitted on.
        why: there are no thresholds and no prediction sets.
    """
    description = {"method": "temperature", "fitted_on": list(files), "note": why}
    if fit is None:
        return CalibrationFit(Calibration(1.0), description)
    metrics = {name: value for name, value in asdict(fit).items() if name != "temperature"}
    return CalibrationFit(Calibration(fit.temperature), description | metrics)


def figures(score: SpanScore) -> dict[str, float]:
    """A score as a card tells it, in per cent."""
    values = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return {name: round(100 * value, 2) for name, value in values.items()} | {"gold": score.gold}
