"""A copy of a model folder with a new calibration; the model itself stays as it is.

It does not know how calibrations are fitted.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twofold.runtime.folder import ModelFolder, open_folder, publish, seal
from twofold.trust.calibrated import FILE, Calibration, to_record

SECTION = "## Calibrated again"


def write_calibrated(
    model: ModelFolder, out: Path, calibration: Calibration, facts: Mapping[str, Any], told: str
) -> None:
    """Write the copy; it appears whole or not at all.

    Args:
        model: the folder to copy, with the relation model that it may hold.
        out: folder to make; may be the model's own, or that of an older model, which it replaces.
        calibration: what was fitted.
        facts: how and on what, as plain data, for ``calibration.json`` and ``card.json``.
        told: the same for people, for the card.

    Raises:
        ModelError: something that is not a model is in the place.
    """
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copytree(model.path, part)
        _write_json(part / FILE, to_record(calibration) | dict(facts))
        _change_card(part, facts, told)
        seal(part)
        open_folder(part)
        publish(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _change_card(folder: Path, facts: Mapping[str, Any], told: str) -> None:
    card, page = folder / "card.json", folder / "README.md"
    known = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    _write_json(card, known | {"calibrated": dict(facts)})
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before = text.split(f"\n{SECTION}\n")[0].rstrip("\n")
    page.write_text(f"{before}\n\n{SECTION}\n\n{told}\n", encoding="utf-8", newline="\n")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
