"""Combines a tagger and a relation model in one folder; files that both have are stored once.

It does not open graphs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from twofold.errors import ModelError
from twofold.model_folder.folder import RELATIONS, ModelFolder, open_folder, publish, write_manifest
from twofold.model_folder.place import reserved, staging_folder
from twofold.preprocessing import semantic_augmentation as neighbours
from twofold.reading import real_path

_SHARED = ("text.onnx", "picture.onnx", "tokenizer.json", *neighbours.FILES)
"""Files that are stored once where both have the same."""


def combine(tagger: Path, relations: Path, out: Path) -> ModelFolder:
    """Write a folder of both models; it appears whole or not at all.

    Args:
        tagger: folder of a tagger; a relation model in it is not copied.
        relations: folder of a relation model.
        out: the folder to write; may be the tagger's own, or that of an older model, which it replaces.

    Raises:
        ModelError: a folder is not a model for its task, or ``out`` is taken by something else.
    """
    first, second = _opened(tagger, "entities"), _opened(relations, "relations")
    if real_path(out) == real_path(relations):
        raise ModelError(
            "the output would replace the relation model", where=str(out), do="choose another folder"
        )
    with reserved(out) as place:
        write_combined(first, second, place)
    return open_folder(out)


def write_combined(tagger: ModelFolder, relations: ModelFolder, place: Path) -> None:
    """Like `combine`, but ``place`` is already reserved."""
    with staging_folder(place) as staging:
        _write(tagger, relations, staging)
        publish(staging, place)


def _opened(path: Path, task: str) -> ModelFolder:
    folder = open_folder(path)
    if folder.config.task != task:
        raise ModelError(
            f"the model is for {folder.config.task}", where=str(path), expected=f"a model for {task}"
        )
    return folder


def _write(tagger: ModelFolder, relations: ModelFolder, staging: Path) -> None:
    inner = staging / RELATIONS
    inner.mkdir(parents=True)
    shared = [name for name in _SHARED if name in tagger.hashes and _same(tagger, relations, name)]
    _copy(tagger, staging, [name for name in tagger.hashes if Path(name).name == name])
    _copy(relations, inner, [name for name in relations.hashes if name not in shared])
    _change(inner / "config.json", shared_files=shared)
    write_manifest(inner)
    write_manifest(staging)


def _same(one: ModelFolder, other: ModelFolder, name: str) -> bool:
    return one.hashes[name] == other.hashes.get(name)


def _copy(folder: ModelFolder, to: Path, names: list[str]) -> None:
    for name in names:
        shutil.copyfile(folder.file(name), to / name)


def _change(path: Path, **values: Any) -> None:
    raw = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
