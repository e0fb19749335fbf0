"""The runs of a table: one method on one data set with one seed each.

A run's id depends on everything that could change its scores, so that tables share runs, and a changed
configuration or file makes another run. Settings at their defaults do not enter the id: a new setting leaves
the ids of old runs unchanged. Settings enter under their original names, so that renaming one does not make
other runs. This module trains nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from twofold.config import RENAMED_KEYS, RENAMED_VALUES, Config, DataConfig, from_mapping, merged
from twofold.config_limits import check_limits
from twofold.errors import ConfigError, DataError
from twofold.experiments.table import DataSet, Settings, Table
from twofold.pipeline.extractor import default_folder
from twofold.reading import read_bytes, real_path

OPTION_TABLES = ("concat", "evidential", "multigranular", "bottleneck", "dirichlet", "relations")
"""Tables of ``[model]`` that only the fusion or the task of that name reads."""
_IRRELEVANT = ("model.name", "training.device", "training.threads")
_ORIGINAL_KEYS = {new: old for old, new in RENAMED_KEYS.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One method on one data set with one seed.

    Attributes:
        id: depends on everything that could change the scores.
        data: name of the data set. method: name of the method. seed: of the training.
        config: of the training. report: file whose scores are reported.
        hashes: SHA-256 of what is read, by name.
    """

    id: str
    data: str
    method: str
    seed: int
    config: Config
    report: Path
    hashes: Mapping[str, str]

    @property
    def name(self) -> str:
        """``data/method/seed``, by which users select runs."""
        return f"{self.data}/{self.method}/{self.seed}"


def runs_of(table: Table, only: tuple[str, ...] = ()) -> list[Run]:
    """All runs, seed by seed, so that a first comparison is available early.

    Args:
        table: what is compared.
        only: patterns of `Run.name`, or of one of its three parts; all where empty.

    Raises:
        ConfigError: overrides that do not fit the configuration; a pattern that matches no run.
        DataError: a data file is missing.
    """
    hashes = {name: _hashes(table.folder, item) for name, item in table.data.items()}
    runs = [run for seed in _seeds(table) for run in _of_seed(table, seed, hashes)]
    for pattern in only:
        if not any(_matches(run, pattern) for run in runs):
            raise ConfigError(
                f"{pattern!r} matches no run",
                where="--only",
                expected=", ".join(run.name for run in runs[:3]) + " …",
            )
    return [run for run in runs if not only or any(_matches(run, pattern) for pattern in only)]


def _seeds(table: Table) -> list[int]:
    return sorted({seed for item in table.data.values() for seed in item.seeds or table.seeds})


def _of_seed(table: Table, seed: int, hashes: Mapping[str, Mapping[str, str]]) -> Iterator[Run]:
    for name, item in table.data.items():
        if seed in (item.seeds or table.seeds):
            for method in item.methods or table.methods:
                yield _run(table, name, method, seed, hashes[name])


def _run(table: Table, name: str, method: str, seed: int, hashes: Mapping[str, str]) -> Run:
    item = table.data[name]
    config = configure(table, name, method, seed)
    hashes = {**hashes, **_hash_of_tagger(config)}
    defaults = original_names(flat(Config()))
    changed = {
        key: value for key, value in original_names(flat(config)).items() if value != defaults.get(key)
    }
    content = json.dumps([changed, sorted(hashes.items())], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:10]
    run_id = f"{name}-{config.model.fusion}-s{seed}-{digest}"
    return Run(run_id, name, method, seed, config, real_path(table.folder / item.report), hashes)


def _matches(run: Run, pattern: str) -> bool:
    parts = (run.name, run.data, run.method, f"{run.data}/{run.method}", str(run.seed))
    return any(fnmatch(part, pattern) for part in parts)


def configure(table: Table, name: str, method: str, seed: int) -> Config:
    """The configuration of a run: base, then the table's, the data set's and the method's overrides."""
    item, settings = table.data[name], table.methods[method].of(name)
    tree: dict[str, Any] = json.loads(json.dumps(asdict(table.bases[name])))
    tree.pop("data")
    for part in ("model", "training"):
        for overrides in (table.overrides[part], getattr(item, part), getattr(settings, part)):
            tree[part] = merged(tree[part], overrides)
    tree["model"] |= {"task": item.task, "name": f"{name}-{tree['model']['fusion']}"}
    tree["training"]["seed"] = seed
    where = f"{table.name}: {method} on {name}"
    config = from_mapping(tree, where)
    check_limits(config, where)
    return dataclasses.replace(config, data=_data(table.folder, item))


def _data(folder: Path, item: DataSet) -> DataConfig:
    def at(name: str) -> str:
        return str(real_path(folder / name)) if name else ""

    return DataConfig(
        tuple(map(at, item.train)), tuple(map(at, item.dev)), at(item.images), at(item.alt_text)
    )


def flat(config: Config) -> dict[str, Any]:
    """Settings that could change the scores, by dotted name, without options of other fusions and tasks."""
    found: dict[str, Any] = {}

    def walk(prefix: str, tree: Settings) -> None:
        for key, value in tree.items():
            name = f"{prefix}.{key}"
            if isinstance(value, dict):
                if key not in OPTION_TABLES or key in (config.model.fusion, config.model.task):
                    walk(name, value)
            elif name not in _IRRELEVANT:
                found[name] = list(value) if isinstance(value, tuple) else value

    walk("model", asdict(config.model))
    walk("training", asdict(config.training))
    return found


def original_names(settings: Settings) -> dict[str, Any]:
    """Settings by dotted name, with the original name of every key and value."""
    return dict(_original_name(name, value) for name, value in settings.items())


def _original_name(name: str, value: Any) -> tuple[str, Any]:
    values = {new: old for old, new in RENAMED_VALUES.get(name, {}).items()}
    return _ORIGINAL_KEYS.get(name, name), values.get(value, value) if isinstance(value, str) else value


# --- data --------------------------------------------------------------------------------------------


def _hashes(folder: Path, item: DataSet) -> dict[str, str]:
    """SHA-256 of data files, the table of alternative texts and the folder of pictures, by name."""
    files = [*item.train, *item.dev, item.report, *([item.alt_text] if item.alt_text else [])]
    hashes = {name: _hash(folder / name) for name in dict.fromkeys(files)}
    return hashes | ({item.images: _hash_of_folder(folder / item.images)} if item.images else {})


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError as error:
        raise _missing(path, error) from error


def _hash_of_folder(path: Path) -> str:
    """SHA-256 of the names and sizes of all files, which shows changes without reading the files."""
    if not path.is_dir():
        raise _missing(path, NotADirectoryError(20, "no such folder"))
    files = sorted((str(f.relative_to(path)), f.stat().st_size) for f in path.rglob("*") if f.is_file())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _hash_of_tagger(config: Config) -> dict[str, str]:
    """SHA-256 of the manifest of the tagger that predicts argument types; {} without one."""
    name = config.model.relations.tagger
    if config.model.task != "relations" or not name:
        return {}
    folder = default_folder() if name == "default" else Path(name)
    return {f"tagger {name}": _hash(folder / "manifest.json")}


def _missing(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot be read: {error.strerror}",
        where=str(path),
        expected="a file or folder that the table names",
        do="give the folder of the data with --data",
    )
