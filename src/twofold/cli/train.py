"""``twofold train``: trains a model on labelled posts, and writes a model folder."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twofold.cli.deprecated import add_old_name, with_old_values
from twofold.config import (
    RENAMED_KEYS,
    RENAMED_VALUES,
    Config,
    DataConfig,
    ModelConfig,
    RelationsConfig,
    TrainingConfig,
    read_config,
)
from twofold.config_limits import option
from twofold.console.text import printable
from twofold.console.training_progress import TrainingProgress
from twofold.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on labelled posts",
        description="Train a model with the settings of CONFIG.toml, or with --train and --dev. Options "
        "override the file. If a training is interrupted, the same command continues it after its last "
        "finished epoch.",
        usage="%(prog)s [options] -o DIR [CONFIG.toml]",
        epilog="Exit codes: 0 the model folder is written; 2 nothing was done.",
    )
    parser.add_argument(
        "config", nargs="?", type=Path, metavar="CONFIG.toml", help="settings file; see docs/training.md"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="model folder to write"
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="discard an interrupted training, and start over instead of continuing it",
    )
    add_old_name(parser, "--fresh", "--restart")
    for section, kind in (("data", DataConfig), ("model", ModelConfig)):
        _add_options(parser, section, kind, f"{section}.")
    for field in dataclasses.fields(ModelConfig):
        if nested := _nested(field):
            _add_options(parser, _GROUPS[field.name], nested, f"model.{field.name}.")
    _add_options(parser, "training", TrainingConfig, "training.")
    _add_old_names(parser)


_GROUPS = {
    "words": "word states",
    "evidential": "evidential fusion (--fusion evidential)",
    "bottleneck": "bottleneck fusion (--fusion bottleneck)",
    "multigranular": "multigranular fusion (--fusion multigranular)",
    "dirichlet": "Dirichlet fusion (--fusion dirichlet)",
    "relations": "relation models (--task relations)",
}


def _nested(field: dataclasses.Field[Any]) -> Any:
    """The class of a field that is a nested table; None for other fields."""
    return field.default_factory if dataclasses.is_dataclass(field.default_factory) else None


def _add_options(parser: argparse.ArgumentParser, title: str, kind: Any, prefix: str) -> None:
    """Add an option for each field of a configuration class; its help is the text of the docstring."""
    group, texts = parser.add_argument_group(title), attribute_texts(kind)
    for field in dataclasses.fields(kind):
        if _nested(field) is None and field.name != "corpora":  # tables can only be set in the file
            _add_option(group, field, prefix + field.name, texts[field.name])


def _add_option(group: Any, field: dataclasses.Field[Any], key: str, text: str) -> None:
    default: Any = field.default
    many = isinstance(default, tuple)
    common = {
        "dest": key.partition(".")[2],
        "default": argparse.SUPPRESS,
        "help": f"{text}{_shown_default(default, text)}".replace("%", "%%"),
    }
    if isinstance(default, bool):
        group.add_argument(option(key), action=argparse.BooleanOptionalAction, **common)
        return
    kind: Callable[[str], Any] = str if many else type(default)
    if renamed := RENAMED_VALUES.get(key):
        kind = with_old_values(option(key), renamed)
    group.add_argument(option(key), nargs="*" if many else None, type=kind, metavar=_metavar(field), **common)


def _shown_default(default: Any, text: str) -> str:
    """The default as the help shows it; nothing for an empty one, unless the text explains ``""``."""
    if isinstance(default, bool):
        return f" (default: {'on' if default else 'off'})"
    shown = " ".join(default) if isinstance(default, tuple) else str(default)
    if default == "" and '""' in text:
        shown = '""'
    return f" (default: {shown})" if shown else ""


def _metavar(field: dataclasses.Field[Any]) -> str:
    """The placeholder for the value of an option."""
    files = {
        "train": "FILE",
        "dev": "FILE",
        "held_out": "FILE",
        "unlabelled": "FILE",
        "images": "DIR",
        "alt_text": "TSV",
        "teachers": "MODEL",
        "tagger": "MODEL",
        "joint": "TOML",
        "initial_weights": "FILE",
    }
    kinds = {tuple: "NAME", int: "N", float: "NUMBER"}
    by_default = (name for kind, name in kinds.items() if isinstance(field.default, kind))
    return files.get(field.name) or next(by_default, "VALUE")


def attribute_texts(kind: type) -> dict[str, str]:
    """The text of each field in the section ``Attributes`` of a class docstring, as one line."""
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.replace("``", "").split()).rstrip(".") for name, text in entries}


def _add_old_names(parser: argparse.ArgumentParser) -> None:
    names = {_old_option(key): option(key) for key in _keys()}
    names |= {_old_option(old): option(new) for old, new in RENAMED_KEYS.items()}
    for old, new in names.items():
        if old not in parser._option_string_actions:
            add_old_name(parser, old, new)


def _keys() -> Iterator[str]:
    """Keys whose option has been renamed."""
    yield "data.alt_text"
    yield from (f"model.relations.{field.name}" for field in dataclasses.fields(RelationsConfig))


def _old_option(key: str) -> str:
    return "--" + key.partition(".")[2].replace("_", "-").replace(".", "-")


def run(args: argparse.Namespace) -> int:
    """Train a model; returns 0."""
    from twofold.training.start import require_train_extra, train

    require_train_extra()
    from twofold.training.distributed import rank_and_count

    out = train(_config(args), args.output, log=TrainingProgress(), fresh=args.restart)
    if rank_and_count()[0] == 0:
        print(printable(f"model folder: {out}"))
    return 0


def _config(args: argparse.Namespace) -> Config:
    base = read_config(args.config) if args.config else Config()
    config = Config(
        _with_options(base.data, args), _with_options(base.model, args), _with_options(base.training, args)
    )
    if not config.data.all_train or not config.data.all_dev:
        raise ConfigError(
            "there are no training files or no dev files",
            where=str(args.config or "twofold train"),
            expected="training and dev files",
            do="give CONFIG.toml, or --train FILE … --dev FILE …",
        )
    return config


def _with_options(section: Any, args: argparse.Namespace, prefix: str = "") -> Any:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        current = getattr(section, field.name)
        if dataclasses.is_dataclass(current):
            values[field.name] = _with_options(current, args, f"{field.name}.")
        elif hasattr(args, prefix + field.name):
            given = getattr(args, prefix + field.name)
            values[field.name] = tuple(given) if isinstance(given, list) else given
    return dataclasses.replace(section, **values)
