"""Writes a copy of a model folder with a new calibration; the network stays as it is.

This module does not know how calibrations are fitted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twofold.calibration.calibration import FILE, to_record
from twofold.calibration.fit import CalibrationFit
from twofold.conventions import Convention
from twofold.model_folder.card import with_calibration, with_name
from twofold.model_folder.folder import RELATIONS, ModelFolder, open_folder, publish, write_manifest
from twofold.model_folder.place import staging_folder

CARD, CONFIG, PAGE = "card.json", "config.json", "README.md"
_SUMMARY = ("predictions", "accuracy", "nll_before", "nll_after", "ece_before", "ece_after")


def write_calibrated_copy(
    model: ModelFolder,
    out: Path,
    fits: Mapping[str, CalibrationFit],
    name: str | None = None,
    convention: Convention | None = None,
) -> None:
    """Write the copy: all of it, or nothing.

    Args:
        model: the folder to copy, including its relation model if it has one.
        out: folder to create, already reserved; may be the model's own folder or that of an older model,
            which is replaced.
        fits: by task: ``entities``, ``relations`` or both. A task that is missing keeps its calibration.
        name: name of the copy; None for the name of the folder ``out``.
        convention: default annotation convention of the copy; None for that of the model.

    Raises:
        ModelError: ``out`` exists and is not a model.
    """
    with staging_folder(out) as part:
        shutil.copytree(model.path, part)
        for task, fit in fits.items():
            own = task == model.config.task
            _update(part if own else part / RELATIONS, model if own else _relation_model(model), fit)
        _rename(part, model, name or out.name)
        if convention is not None:
            _set_convention(part, model, convention)
        if model.relations is not None:
            write_manifest(part / RELATIONS)
        write_manifest(part)
        open_folder(part)
        publish(part, out)


def _relation_model(model: ModelFolder) -> ModelFolder:
    assert model.relations is not None
    return model.relations


def _update(folder: Path, model: ModelFolder, fit: CalibrationFit) -> None:
    """Write calibration, card and page of a copy; on card and page only the calibration changes."""
    write_calibration(folder, fit)
    card = _card(folder, model) | card_record(fit)
    write_json(folder / CARD, card)
    page = folder / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# {card['name']}\n"
    _write_text(page, with_calibration(text, card))


def _rename(folder: Path, model: ModelFolder, name: str) -> None:
    """Give a copy its name, and record on its card which model was calibrated."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    write_json(folder / CONFIG, config | {"name": name})
    origin = {"name": model.config.name, "manifest_sha256": model.manifest_sha256}
    card = _card(folder, model) | {"name": name, "calibrated_from": origin}
    write_json(folder / CARD, card)
    page = folder / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    _write_text(page, with_name(text, card))


def _set_convention(folder: Path, model: ModelFolder, convention: Convention) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    known = replace(model.config.conventions, default=convention)
    write_json(folder / CONFIG, config | {"conventions": known.to_json()})
    write_json(folder / CARD, _card(folder, model) | {"conventions": known.to_json()})


def _card(folder: Path, model: ModelFolder) -> dict[str, Any]:
    path = folder / CARD
    known = {"name": model.config.name, "task": model.config.task}
    return known | (json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {})


def write_calibration(folder: Path, fit: CalibrationFit) -> None:
    """Write ``calibration.json``; metrics by data set are on the card only."""
    described = {key: value for key, value in fit.description.items() if key != "by_data_set"}
    text = json.dumps(to_record(fit.calibration) | described, ensure_ascii=False)  # hundreds of numbers
    _write_text(folder / FILE, text + "\n")


def card_record(fit: CalibrationFit) -> dict[str, Any]:
    """The calibration entries of ``card.json``: the whole fit, and a summary of its main metrics."""
    calibration = fit.calibration
    record: dict[str, Any] = {"temperature": calibration.temperature}
    if calibration.temperature_by_type:
        record["temperature_by_type"] = dict(calibration.temperature_by_type)
    if calibration.decision_rule is not None:
        record["decision_rule"] = calibration.decision_rule._asdict()
    return {"calibration": record | dict(fit.description), "calibration_summary": _summary(fit)}


def _summary(fit: CalibrationFit) -> dict[str, float]:
    metrics = dict(fit.description)
    if fit.report is not None:
        before, after = fit.report.before, fit.report.after
        metrics = {"predictions": fit.report.predictions.calibration, "accuracy": after["accuracy"]}
        metrics |= {f"{name}_before": before[name] for name in ("nll", "ece")}
        metrics |= {f"{name}_after": after[name] for name in ("nll", "ece")}
    summary = {name: metrics[name] for name in _SUMMARY if name in metrics}
    return {"temperature": fit.calibration.temperature} | summary


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON with a final newline."""
    _write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
