"""A copy of a model folder with a new calibration; the model itself stays as it is.

It does not know how calibrations are fitted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twofold.calibration.calibration import FILE, to_record
from twofold.calibration.fit import Fitted
from twofold.model_folder.card import with_trust
from twofold.model_folder.folder import RELATIONS, ModelFolder, open_folder, publish, seal
from twofold.model_folder.place import part_of

CARD = "card.json"


def write_calibrated(model: ModelFolder, out: Path, fitted: Mapping[str, Fitted]) -> None:
    """Write the copy; it appears whole or not at all.

    Args:
        model: the folder to copy, with the relation model that it may hold.
        out: folder to make, in a reserved place; may be the model's own, or that of an older model, which
            it replaces.
        fitted: by task: ``entities``, ``relations`` or both. What is not there stays as it is.

    Raises:
        ModelError: something that is not a model is in the place.
    """
    with part_of(out) as part:
        shutil.copytree(model.path, part)
        for task, each in fitted.items():
            own = task == model.config.task
            _put(part if own else part / RELATIONS, model if own else _inner(model), each)
        if model.relations is not None:
            seal(part / RELATIONS)
        seal(part)
        open_folder(part)
        publish(part, out)


def _inner(model: ModelFolder) -> ModelFolder:
    assert model.relations is not None
    return model.relations


def _put(folder: Path, model: ModelFolder, fitted: Fitted) -> None:
    """Calibration, card and page of a copy; of the card and the page all but trust stays."""
    write_calibration(folder, fitted)
    path, page = folder / CARD, folder / "README.md"
    known = {"name": model.config.name, "task": model.config.task}
    known |= json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    card = known | {"trust": trust_record(fitted)}
    write_json(path, card)
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# {known['name']}\n"
    page.write_text(with_trust(text, card), encoding="utf-8", newline="\n")


def write_calibration(folder: Path, fitted: Fitted) -> None:
    """Write ``calibration.json``; figures by data set are on the card only."""
    record = to_record(fitted.calibration) | {k: v for k, v in fitted.facts.items() if k != "data"}
    text = json.dumps(record, ensure_ascii=False)  # hundreds of numbers, in one line
    (folder / FILE).write_text(text + "\n", encoding="utf-8", newline="\n")


def trust_record(fitted: Fitted) -> dict[str, Any]:
    """What ``card.json`` holds under ``trust``."""
    heats = {"temperature": fitted.calibration.temperature, "temperatures": fitted.calibration.temperatures}
    decision_rule = fitted.calibration.decision_rule
    told = {key: value for key, value in heats.items() if value} | dict(fitted.facts)
    return told if decision_rule is None else told | {"choice": decision_rule._asdict()}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON with a line end."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
