"""Model folders: checked when read, completed by a manifest, published as a whole.

A folder holds ``config.json``, ``tokenizer.json``, the graphs ``text.onnx``, ``fusion.onnx`` and (for
models that use pictures) ``picture.onnx``, ``calibration.json``, for taggers ``decoder.safetensors``,
and ``manifest.json`` with size and SHA-256 of every file. The manifest is written last: a folder without
one was never finished. The hashes detect damage and mix-ups; they are not a signature, since anyone who
can change a file can change the manifest too.

A tagger's folder may hold a relation model in ``relations/``, a folder of the same kind. Files that the two
have in common are in the tagger's folder only; the relation model's configuration names them as
``shared_files``, and its manifest has their hashes, too. The tagger's manifest lists that manifest.

It does not know what the graphs compute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from twofold.crf import ChainDecoder, DecisionRule
from twofold.errors import ModelError
from twofold.model_folder.config import RENEW, TASK_FILES, FolderConfig, get, parse_config, read_json
from twofold.model_folder.config_limits import check_limits
from twofold.model_folder.place import MANIFEST, check_place
from twofold.preprocessing import semantic_augmentation as neighbours
from twofold.preprocessing.images import PREPARATION
from twofold.reading import open_file

FORMAT = 3
"""The only format this version reads and writes; 1 and 2 named their keys differently."""
RELATIONS = "relations"
"""Subfolder of a tagger's folder for a relation model."""
_REQUIRED = ("config.json", "tokenizer.json", "text.onnx", "fusion.onnx", "calibration.json")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder whose files are complete and unaltered.

    Attributes:
        path: where it is.
        config: see `FolderConfig`.
        temperature: of the confidences, fitted on held-out data.
        decision_rule: of F1-optimal decoding, or of a relation model when it predicts a relation; None for
            Viterbi decoding, and for the most probable class.
        hashes: SHA-256 by file name, shared files included.
        relations: the relation model in this tagger's folder; None where there is none.
    """

    path: Path
    config: FolderConfig
    temperature: float
    hashes: Mapping[str, str]
    decision_rule: DecisionRule | None = None
    relations: ModelFolder | None = None

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 of the manifest, which names the hash of every file: identifies the model."""
        return _sha256(self.path / MANIFEST)

    def file(self, name: str) -> Path:
        """Path of a file; a shared one is in the parent folder."""
        return (self.path.parent if name in self.config.shared_files else self.path) / name

    def decoder(self) -> ChainDecoder:
        """The CRF of ``decoder.safetensors``.

        Raises:
            ModelError: it does not fit the labels.
        """
        path = self.path / "decoder.safetensors"
        try:
            tensors = load_file(path)
            arrays = [tensors[name] for name in ("transitions", "start", "end")]
        except (SafetensorError, KeyError, OSError) as error:
            raise ModelError(f"cannot be read: {error}", where=str(path), do=RENEW) from error
        transitions, start, end = arrays
        count = len(self.config.labels)
        if [array.shape for array in arrays] != [(count, count), (count,), (count,)]:
            raise ModelError("its shapes do not fit the labels of config.json", where=str(path), do=RENEW)
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelError("its scores are NaN or infinite", where=str(path), do=RENEW)
        return ChainDecoder(self.config.labels, transitions, start, end, self.decision_rule)

    @property
    def picture_fingerprint(self) -> str:
        """Everything that features of pictures depend on besides the picture."""
        return f"{self.hashes.get('picture.onnx')} {self.config.picture} {PREPARATION}"


# --- reading -----------------------------------------------------------------------------------------


def open_folder(path: Path) -> ModelFolder:
    """Read and check a model folder, with its relation model, if any.

    Raises:
        ModelError: it is missing, half-written, from a newer version, or was altered.
    """
    if not path.is_dir():
        found = "not a folder" if path.exists() else "no such folder"
        raise ModelError(
            found, where=str(path), expected="a model folder", do="check the path; `twofold train` writes one"
        )
    model = _open(path, {})
    if f"{RELATIONS}/{MANIFEST}" not in model.hashes:
        return model
    relations = _open(path / RELATIONS, model.hashes)
    if (model.config.task, relations.config.task) != ("entities", "relations"):
        raise ModelError(
            f"a model for {relations.config.task} is inside one for {model.config.task}",
            where=str(relations.path),
            expected="a relation model in a tagger's folder",
            do="combine two models with `twofold combine`",
        )
    return dataclasses.replace(model, relations=relations)


def _open(path: Path, parent_hashes: Mapping[str, str]) -> ModelFolder:
    """Open one folder; ``parent_hashes`` are the hashes of its parent folder, whose files it may share."""
    if not (path / MANIFEST).is_file():
        raise ModelError(
            f"the model folder has no {MANIFEST}: it is not a model folder, or writing it was interrupted",
            where=str(path),
            expected="a folder that `twofold train` finished",
            do=RENEW,
        )
    _check_format(path)
    hashes = _check_files(path, parent_hashes)
    config = parse_config(read_json(path / "config.json"), str(path / "config.json"))
    check_limits(config, str(path / "config.json"))
    missing = [name for name in (*_needed(config), *config.shared_files) if name not in hashes]
    if missing:
        raise ModelError(f"the model folder lacks {', '.join(missing)}", where=str(path), do=RENEW)
    calibration = path / "calibration.json"
    record = read_json(calibration)
    temperature = _number(record, "temperature", calibration)
    return ModelFolder(path, config, temperature, hashes, _decision_rule(record, calibration))


def _decision_rule(calibration: Mapping[str, object], path: Path) -> DecisionRule | None:
    if "decision_rule" not in calibration:
        return None
    record = get(calibration, "decision_rule", (dict,), str(path))
    return DecisionRule(_number(record, "threshold", path, below=1.0), _number(record, "temperature", path))


def _number(record: Mapping[str, object], name: str, path: Path, below: float = float("inf")) -> float:
    value = float(get(record, name, (int, float), str(path)))
    if not 0 < value < below:
        expected = "a number above 0" + (f" and below {below}" if below < float("inf") else "")
        raise ModelError(f"{name} is {value}", where=str(path), expected=expected, do=RENEW)
    return value


def _needed(config: FolderConfig) -> tuple[str, ...]:
    pictures = ("picture.onnx",) if config.picture else ()
    aligned = neighbours.FILES if neighbours.MODALITY in config.modalities else ()
    return (*_REQUIRED, *TASK_FILES[config.task], *pictures, *aligned)


def _check_format(path: Path) -> None:
    """Check the format before anything else: in another one, anything else may be different."""
    try:
        raw = read_json(path / "config.json")
    except ModelError:
        return  # the check against the manifest tells whether it is missing or altered
    number = raw.get("format")
    if number == FORMAT:
        return
    version = raw.get("twofold_version", raw.get("twofold", "(unknown)"))
    newer = isinstance(number, int) and number > FORMAT
    raise ModelError(
        f"the model folder has format {number}, written by Twofold {version}",
        where=str(path),
        expected=f"format {FORMAT}",
        do="install a newer Twofold: pip install --upgrade twofold"
        if newer
        else "train and calibrate the model again with this version, or use the version that wrote it",
    )


def _check_files(path: Path, parent_hashes: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 by name of the files of the manifest, after a check that all are present and unaltered."""
    where = str(path / MANIFEST)
    shared = _shared(path)
    hashes: dict[str, str] = {}
    for name, entry in get(read_json(path / MANIFEST), "files", dict, where).items():
        expected = get(entry, "sha256", str, where)
        if Path(name).name != name and name != f"{RELATIONS}/{MANIFEST}":
            raise ModelError(f"names a file outside the folder: {name!r}", where=where, do=RENEW)
        if name in shared:
            _check_shared(path, name, expected, parent_hashes)
        else:
            _check_file(path, name, expected, entry.get("bytes"))
        hashes[name] = expected
    return hashes


def _check_shared(path: Path, name: str, expected: str, parent_hashes: Mapping[str, str]) -> None:
    if name not in parent_hashes:
        raise ModelError(
            f"this relation model shares {name} with its parent folder",
            where=str(path),
            do=f"use {path.parent}",
        )
    if parent_hashes[name] != expected:
        raise ModelError(
            f"the relation model was combined with a tagger that had another {name}",
            where=str(path),
            do="combine the two again with `twofold combine`",
        )


def _check_file(path: Path, name: str, expected: str, size: object) -> None:
    file = path / name
    if not file.is_file():
        raise ModelError(f"the model folder lacks {name}", where=str(path), do=RENEW)
    if file.stat().st_size != size or _sha256(file) != expected:
        raise ModelError(
            "the file was altered after the model was written, or damaged in transfer",
            where=str(file),
            expected=f"SHA-256 {expected[:12]}… as in {MANIFEST}",
            do=f"{RENEW}; after an intended change, call twofold.model_folder.folder.write_manifest(folder)",
        )


def _shared(path: Path) -> list[str]:
    """Names of files in the parent folder, from a configuration that is not yet known to be unaltered."""
    try:
        names = read_json(path / "config.json").get("shared_files", [])
    except ModelError:
        return []  # reported by the check against the manifest
    return [str(name) for name in names] if isinstance(names, list) else []


# --- writing -----------------------------------------------------------------------------------------


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json`` for the files in a folder; the last step of writing a model.

    Shared files are listed as if they were in this folder, and of a relation model inside only its manifest:
    write that one first.

    Raises:
        ModelError: a shared file is missing, or a file cannot be read.
    """
    files = {file.name: file for file in folder.iterdir() if file.is_file() and file.name != MANIFEST}
    names = _shared(folder)
    if outside := [name for name in names if Path(name).name != name]:
        raise ModelError(
            f"config.json shares a file outside the parent folder: {outside[0]!r}",
            where=str(folder),
            expected=f"names of files of {folder.parent}",
            do="correct shared_files in config.json",
        )
    shared = {name: folder.parent / name for name in names}
    if missing := [name for name, file in shared.items() if not file.is_file()]:
        raise ModelError(
            f"config.json names the shared files {', '.join(missing)}, which the parent folder lacks",
            where=str(folder),
            expected=f"files of {folder.parent}",
            do="correct shared_files in config.json",
        )
    files |= shared
    inner = folder / RELATIONS / MANIFEST
    files |= {f"{RELATIONS}/{MANIFEST}": inner} if inner.is_file() else {}
    entries = {n: {"sha256": _sha256(f), "bytes": f.stat().st_size} for n, f in sorted(files.items())}
    partial = folder / f"{MANIFEST}.part"
    partial.write_text(json.dumps({"files": entries}, indent=1) + "\n", encoding="utf-8", newline="\n")
    partial.replace(folder / MANIFEST)


def publish(temporary: Path, final: Path) -> None:
    """Move a finished folder into place by renaming; readers see the old folder or the new one, complete.

    Args:
        temporary: a folder with a manifest beside ``final``, on the same file system.
        final: its new path; an older model there is removed.

    Raises:
        ModelError: something that is not a model is there; it is left alone.
    """
    if not final.exists():
        temporary.rename(final)
        return
    check_place(final, temporary)
    old = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.old")
    final.rename(old)
    try:
        temporary.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open_file(file) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(file), do=RENEW) from error
    return digest.hexdigest()
