"""Writing what was measured: temperature, figures in per cent, JSON files of a model folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofold.evaluation.spans import SpanScore
from twofold.runtime.folder import ModelFolder, open_folder, seal
from twofold.trust.temperature import TemperatureFit


def open_uncalibrated(folder: Path) -> ModelFolder:
    """Seal and open a folder with a temperature of 1."""
    write_json(folder / "calibration.json", {"temperature": 1.0})
    seal(folder)
    return open_folder(folder)


def write_calibration(folder: Path, fit: TemperatureFit, files: Iterable[str]) -> None:
    """Write a fitted temperature and on which files it was fitted; the folder is sealed again."""
    write_json(folder / "calibration.json", asdict(fit) | {"fitted_on": list(files)})
    seal(folder)


def figures(score: SpanScore) -> dict[str, float]:
    """A score as a card tells it, in per cent."""
    values = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return {name: round(100 * value, 2) for name, value in values.items()} | {"gold": score.gold}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON with a line end."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
