"""A copy of a model folder with a new calibration; the model itself stays as it is.

It does not know how calibrations are fitted.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twofold.runtime.folder import RELATIONS, ModelFolder, open_folder, publish, seal
from twofold.trust.calibrated import FILE, Calibration, to_record

SECTION = "## Calibrated again"


class Fitted(NamedTuple):
    """A calibration and its story.

    Attributes:
        calibration: what was fitted.
        facts: how and on what (``method``, ``fitted_on`` and more), as plain data, for
            ``calibration.json`` and ``card.json``.
        told: what came of it, lines for people, for the card.
    """

    calibration: Calibration
    facts: Mapping[str, Any]
    told: Sequence[str]


def write_calibrated(model: ModelFolder, out: Path, fitted: Mapping[str, Fitted]) -> None:
    """Write the copy; it appears whole or not at all.

    Args:
        model: the folder to copy, with the relation model that it may hold.
        out: folder to make; may be the model's own, or that of an older model, which it replaces.
        fitted: by task: ``entities``, ``relations`` or both. What is not there stays as it is.

    Raises:
        ModelError: something that is not a model is in the place.
    """
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copytree(model.path, part)
        for task, each in fitted.items():
            _put(part if task == model.config.task else part / RELATIONS, each)
        if model.relations is not None:
            seal(part / RELATIONS)
        seal(part)
        open_folder(part)
        publish(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(folder: Path, fitted: Fitted) -> None:
    _write_json(folder / FILE, to_record(fitted.calibration) | dict(fitted.facts))
    card, page = folder / "card.json", folder / "README.md"
    known = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    _write_json(card, known | {"calibrated": dict(fitted.facts)})
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before = text.split(f"\n{SECTION}\n")[0].rstrip("\n")
    page.write_text(f"{before}\n\n{SECTION}\n\n{_story(fitted)}\n", encoding="utf-8", newline="\n")


def _story(fitted: Fitted) -> str:
    lines = "\n".join(f"- {line}" for line in fitted.told)
    return f"On {', '.join(fitted.facts['fitted_on'])}, method `{fitted.facts['method']}`.\n\n{lines}"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
