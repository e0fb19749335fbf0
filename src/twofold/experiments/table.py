"""What a table compares: methods, data sets and seeds, read from a TOML file. No data is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from twofold.config import Config, build, merged, read_config, read_toml, with_current_names
from twofold.errors import ConfigError

PICTURES = ("real", "stand-in", "none")
Settings = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set of a table. Files are relative to the table's ``folder``.

    Attributes:
        title: as printed.
        base: configuration file that its runs start from, instead of the table's.
        task: ``entities`` or ``relations``.
        train: files. dev: files that the epoch is chosen on.
        report: the file whose scores are reported; it may be a dev file, and the table then says so.
        images: folder of pictures. alt_text: table of descriptions.
        pictures: ``real``, ``stand-in`` or ``none``. descriptions: what the alt texts are, in words.
        seeds: instead of the table's. methods: those that are run here; all where empty.
        model: overrides. training: overrides.
    """

    title: str = ""
    base: str = ""
    task: str = "entities"
    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    report: str = ""
    images: str = ""
    alt_text: str = ""
    pictures: str = "none"
    descriptions: str = "none"
    seeds: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a table: what differs from its base configuration.

    Attributes:
        title: as printed; the method's name where empty.
        model: overrides. training: overrides.
        on: the same three by data set, for data sets on which the method differs.
    """

    title: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    on: dict[str, Any] = field(default_factory=dict)  # values are Method once a table is read

    def of(self, data: str) -> Method:
        """The method on one data set."""
        if data not in self.on:
            return self
        here: Method = self.on[data]
        return Method(
            here.title or self.title, merged(self.model, here.model), merged(self.training, here.training)
        )


@dataclass(frozen=True, slots=True)
class _File:
    """The content of the file; see `Table`."""

    title: str = ""
    note: str = ""
    base: str = ""
    folder: str = "."
    baseline: str = "text_only"
    seeds: tuple[int, ...] = (1,)
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """Which methods are compared, and on which data sets.

    Attributes:
        name: of the file. title: as printed. note: a sentence under it.
        baseline: the method that the others are compared with; "" for none.
        folder: where data files are.
        bases: the configuration that the runs of each data set start from; its data files are ignored.
        overrides: ``model`` and ``training`` of all runs.
        seeds: of data sets without seeds of their own.
        data: data sets by name. methods: methods by name.
    """

    name: str
    title: str
    note: str
    baseline: str
    folder: Path
    bases: Mapping[str, Config]
    overrides: Settings
    seeds: tuple[int, ...]
    data: Mapping[str, DataSet]
    methods: Mapping[str, Method]


def read_table(path: Path, folder: Path | None = None) -> Table:
    """Read a table.

    Args:
        path: TOML, see docs/reproduce.md.
        folder: where data files are, instead of the folder that the file names.

    Raises:
        ConfigError: a key, value, method or data set is unknown or incomplete.
    """
    raw = read_toml(_File, path)
    where = str(path)
    data = {name: _built(DataSet, value, f"{where} [data.{name}]") for name, value in raw.data.items()}
    methods = {name: _method(value, data, f"{where} [methods.{name}") for name, value in raw.methods.items()}
    if not data or not methods:
        raise ConfigError("no data set or no method", where=where, expected="[data.NAME] and [methods.NAME]")
    if raw.baseline and raw.baseline not in methods:
        raise ConfigError(f"baseline is {raw.baseline!r}", where=where, expected='one of its methods, or ""')
    for name, item in data.items():
        _check(item, methods, f"{where} [data.{name}]")
    named = {name: item.base or raw.base for name, item in data.items()}
    bases = {name: read_config(path.parent / base) if base else Config() for name, base in named.items()}
    return Table(
        path.stem,
        raw.title or path.stem,
        raw.note,
        raw.baseline,
        folder or path.parent / raw.folder,
        bases,
        with_current_names({"model": raw.model, "training": raw.training}, where),
        raw.seeds,
        data,
        methods,
    )


def _built(kind: type[T], raw: Settings, where: str) -> T:
    """Build a part of a table; old names of renamed keys are accepted."""
    return build(kind, with_current_names(raw, where) if isinstance(raw, Mapping) else raw, where)


def _method(raw: Settings, data: Mapping[str, DataSet], where: str) -> Method:
    method = _built(Method, raw, f"{where}]")
    variants = {}
    for name, settings in method.on.items():
        if name not in data:
            raise ConfigError(f"unknown data set {name!r}", where=f"{where}.on]", expected=", ".join(data))
        place = f"{where}.on.{name}]"
        variants[name] = _built(Method, settings, place)
        if variants[name].on:
            raise ConfigError("on within on", where=place, expected="title, model or training")
    return replace(method, on=variants)


def _check(item: DataSet, methods: Mapping[str, Method], where: str) -> None:
    if not item.train or not item.dev or not item.report:
        raise ConfigError("no train, dev or report file", where=where, expected="all three")
    if item.pictures not in PICTURES:
        raise ConfigError(f"pictures = {item.pictures!r}", where=where, expected=" or ".join(PICTURES))
    if bool(item.images) != (item.pictures != "none"):
        raise ConfigError("images and pictures do not agree", where=where, expected="both or neither")
    unknown = [name for name in item.methods if name not in methods]
    if unknown:
        raise ConfigError(f"unknown method {unknown[0]!r}", where=where, expected=", ".join(methods))
