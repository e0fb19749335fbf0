"""``twofold train``: a model folder from labelled posts."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from twofold.cli.deprecated import add_old_name
from twofold.config import RENAMED_KEYS, Config, DataConfig, ModelConfig, TrainingConfig, read_config
from twofold.console.training_progress import TrainingProgress
from twofold.errors import ConfigError, MissingExtraError

_NEEDED = ("torch", "transformers", "onnx", "onnxscript", "matplotlib")


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on your own labelled posts",
        description="Train on CONFIG.toml, or on --train and --dev; options win over the file. "
        "A training that was killed goes on from its last finished epoch when run again.",
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.toml", help="see docs/training.md")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="the model folder to make"
    )
    parser.add_argument("--fresh", action="store_true", help="start anew even where a checkpoint is")
    _add_options(parser.add_argument_group("data"), DataConfig)
    _add_options(parser.add_argument_group("model"), ModelConfig)
    _add_options(parser.add_argument_group("training"), TrainingConfig)
    _add_old_names(parser)


def _add_options(group: argparse._ArgumentGroup, kind: Any, prefix: str = "") -> None:
    """One option a field of a configuration class, absent unless given; options of a fusion bear its name."""
    for field in dataclasses.fields(kind):
        nested = getattr(field.default_factory, "__dataclass_fields__", None)
        if nested is not None:
            _add_options(group, field.default_factory, f"{field.name}.")
            continue
        dest = prefix + field.name
        many = isinstance(field.default, tuple)
        default: Any = field.default
        default = " ".join(default) if many else default
        name = "--" + dest.replace("_", "-").replace(".", "-")
        if isinstance(default, bool):
            switch = argparse.BooleanOptionalAction
            group.add_argument(
                name, dest=dest, action=switch, default=argparse.SUPPRESS, help=f"default: {default}"
            )
            continue
        group.add_argument(
            name,
            dest=dest,
            nargs="*" if many else None,
            type=str if many else type(field.default),
            default=argparse.SUPPRESS,
            help=f"default: {default if default != '' else 'none'}",
            metavar=field.name.upper(),
        )


def _add_old_names(parser: argparse.ArgumentParser) -> None:
    for old, new in RENAMED_KEYS.items():
        add_old_name(parser, _option(old), _option(new))


def _option(key: str) -> str:
    """The option of a key of the configuration, its section left out."""
    return "--" + key.partition(".")[2].replace("_", "-").replace(".", "-")


def run(args: argparse.Namespace) -> int:
    """Train; 0 when the model folder is there."""
    need_extra()
    from twofold.training.run import train

    config = _config(args)
    out = train(config, args.out, TrainingProgress(), fresh=args.fresh)
    print(f"model folder: {out}")
    return 0


def need_extra() -> None:
    """Complain where the packages of the train extra are not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"training needs {', '.join(missing)}",
            expected="the train extra",
            do="run in a checkout of Twofold: pip install -e '.[train]' (CONTRIBUTING.md tells how to get "
            "PyTorch for the CPU only, and the encoders' weights)",
        )


def _config(args: argparse.Namespace) -> Config:
    base = read_config(args.config) if args.config else Config()
    config = Config(
        _with_options(base.data, args), _with_options(base.model, args), _with_options(base.training, args)
    )
    if not config.data.train or not config.data.dev:
        raise ConfigError(
            "nothing to train on or to choose on",
            where=str(args.config or "twofold train"),
            expected="training and dev files",
            do="give CONFIG.toml, or --train FILE … --dev FILE …",
        )
    return config


def _with_options(section: Any, args: argparse.Namespace, prefix: str = "") -> Any:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        present = getattr(section, field.name)
        if dataclasses.is_dataclass(present):
            values[field.name] = _with_options(present, args, f"{field.name}.")
        elif hasattr(args, prefix + field.name):
            given = getattr(args, prefix + field.name)
            values[field.name] = tuple(given) if isinstance(given, list) else given
    return dataclasses.replace(section, **values)
