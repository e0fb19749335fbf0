"""Options of every command that runs a model: which one, with which relation model, on how many threads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.errors import ConfigError
from twofold.posts import MAX_CHARACTERS

if TYPE_CHECKING:
    from twofold.pipeline import Extractor


def add_allow_outside(group: argparse._ActionsContainer) -> None:
    """The option that lifts the confinement of pictures to one folder."""
    group.add_argument(
        "--allow-outside",
        action="store_true",
        help="read pictures outside of --images (without it, of the file's folder) too, wherever paths and "
        "links lead; only for data that you trust",
    )


def add_max_characters(group: argparse._ActionsContainer) -> None:
    """The option that says how long a post may be."""
    group.add_argument(
        "--max-characters",
        type=_positive,
        metavar="N",
        default=MAX_CHARACTERS,
        help=f"reject posts of more characters; memory grows with the longest ({MAX_CHARACTERS:,})",
    )


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def add_model_options(parser: argparse.ArgumentParser, model: bool = True) -> None:
    """Options that say how a model is run; ``model`` to include which."""
    group = parser.add_argument_group("model")
    if model:
        group.add_argument(
            "--model", metavar="DIR", default="default", help="model folder (default: the shipped one)"
        )
    related = group.add_mutually_exclusive_group()
    related.add_argument(
        "--relations", metavar="DIR", type=Path, help="folder of a relation model to go with the model"
    )
    related.add_argument("--no-relations", action="store_true", help="look for entities only")
    group.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="windows of text read at once (32)"
    )
    add_max_characters(group)
    group.add_argument("--threads", type=int, metavar="N", help="threads of the model (default: all cores)")
    group.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep features of pictures here between runs"
    )


def load_model(
    name: str,
    args: argparse.Namespace,
    max_error: float | None = None,
    max_relation_error: float | None = None,
    sets: float | None = None,
) -> Extractor:
    """The model of this name or folder, run as the options say; limits as in `twofold.load`."""
    from twofold.pipeline import load  # after the cheap checks: it brings ONNX Runtime's helpers

    if args.batch_size < 1:
        raise ConfigError(f"--batch-size is {args.batch_size}", expected="a number above 0")
    return load(
        None if name == "default" else name,
        relation_model=False if args.no_relations else args.relations,
        threads=args.threads,
        cache=args.cache,
        max_error=max_error,
        max_relation_error=max_relation_error,
        coverage=sets,
        max_characters=args.max_characters,
    )
