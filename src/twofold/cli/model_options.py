"""Options shared by several commands: pictures and alt texts, and the model and how it runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cli.deprecated import add_old_name
from twofold.conventions import HASHTAGS, MENTIONS
from twofold.errors import ConfigError, ModelError
from twofold.model_folder.place import MANIFEST
from twofold.posts import MAX_CHARACTERS

if TYPE_CHECKING:
    from twofold.corpora.column_names import ColumnNames
    from twofold.corpora.post_file import PostFile
    from twofold.pipeline.extractor import Extractor


def add_picture_options(group: argparse._ActionsContainer) -> None:
    """Options for the pictures of a file of posts and their descriptions."""
    group.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the pictures (default: folder of the posts)"
    )
    group.add_argument(
        "--alt-text-file",
        type=Path,
        metavar="TSV",
        help="descriptions of the pictures: a tab-separated file with the columns image and caption",
    )
    group.add_argument(
        "--allow-outside",
        action="store_true",
        help="also read pictures outside that folder, wherever paths and links lead; only for trusted data",
    )


def add_column_options(group: argparse._ActionsContainer) -> None:
    """Options for tables and JSON Lines whose columns or keys have other names."""
    group.add_argument(
        "--columns",
        metavar="FIELD=COLUMN,...",
        help="columns (or JSON keys) with the fields of a post, such as id=tweet_id,text=full_text",
    )
    group.add_argument(
        "--number-rows", action="store_true", help="give rows without an id their file and row number as id"
    )


def column_names(args: argparse.Namespace) -> ColumnNames:
    """The columns given by the options of `add_column_options`, and by ``--carry`` if the command has it."""
    from twofold.corpora.column_names import ColumnNames

    return ColumnNames.parse(args.columns or "", getattr(args, "carry", None) or "", args.number_rows)


def output_file(text: str) -> Path:
    """An option's output file. Checked as text, since a `Path` drops the final slash of a folder."""
    if text.endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"{text!r} names a folder; expected a file; add a file name")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is an address; expected a file on this machine")
    return Path(text)


def named_file(text: str) -> Path:
    """An output file that cannot be standard output."""
    if text == "-":
        raise argparse.ArgumentTypeError(
            "'-' names standard output, which is not written here; expected the name of a file"
        )
    return output_file(text)


def add_types(parser: argparse.ArgumentParser) -> None:
    """Add the option that maps entity types."""
    parser.add_argument(
        "--types",
        type=type_map,
        metavar="OLD=NEW,...",
        help="rename entity types, or drop one (OLD=), in gold labels and predictions: person=PER,MISC=",
    )


def type_map(text: str) -> dict[str, str]:
    """The mapping that ``OLD=NEW,OLD=`` stands for; a type without a new name is dropped."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    types = {old.strip(): new.strip() for old, _, new in pairs}
    if len(types) < len(pairs) or not all(old.strip() and sign for old, sign, _ in pairs):
        raise argparse.ArgumentTypeError(
            f"got {text!r}; expected each type once as OLD=NEW, separated by commas; OLD= drops a type"
        )
    return types


def add_max_characters(group: argparse._ActionsContainer) -> None:
    """Add the option for the length of the longest post."""
    group.add_argument(
        "--max-characters",
        type=int,
        metavar="N",
        default=MAX_CHARACTERS,
        help="reject posts with more characters than this; memory use grows with the longest post "
        f"(default: {MAX_CHARACTERS:,})",
    )


def posts_of(args: argparse.Namespace, path: Path) -> PostFile:
    """A data file, read with the options of `add_picture_options` and `add_column_options`."""
    from twofold.corpora.post_file import read_posts

    names = column_names(args)
    return read_posts(
        path,
        images=args.images,
        alt_text=args.alt_text_file,
        allow_outside=args.allow_outside,
        max_characters=args.max_characters,
        columns=names.renamed,
        number_rows=names.number_rows,
    )


def add_convention_options(group: argparse._ActionsContainer) -> None:
    """Add the options for annotation conventions: what counts as an entity."""
    group.add_argument(
        "--mentions",
        choices=MENTIONS,
        help="whether a mentioned user is an entity: none (no) or name (yes, without the @). Only for models "
        "trained with annotation conventions, which `twofold card` lists (default: set by the model)",
    )
    group.add_argument(
        "--hashtags",
        choices=HASHTAGS,
        help="whether a hashtag that names something is an entity: none (no), name (yes, without the #) or "
        "mark (yes, with the #) (default: set by the model)",
    )
    group.add_argument(
        "--convention",
        metavar="CORPUS",
        help="follow the annotation guidelines of this corpus, one of those that the model was trained on "
        "(`twofold card` lists them)",
    )


def add_model_options(
    parser: argparse.ArgumentParser,
    model: bool = True,
    no_relations: str = "extract entities only, which is faster",
) -> None:
    """Add the options for running a model.

    Args:
        parser: parser of the command.
        model: whether to add the option that selects the model.
        no_relations: help of ``--no-relations``: what the command does with it.
    """
    group = parser.add_argument_group("model")
    if model:
        group.add_argument(
            "--model",
            metavar="DIR",
            default="default",
            help="model folder (default: the model shipped with the package)",
        )
    add_convention_options(parser.add_argument_group("annotation convention"))
    relations = group.add_mutually_exclusive_group()
    relations.add_argument(
        "--relation-model",
        metavar="DIR",
        type=Path,
        help="folder of a separate relation model (default: the one in the model folder)",
    )
    add_old_name(relations, "--relations", "--relation-model")
    relations.add_argument("--no-relations", action="store_true", help=no_relations)
    add_max_characters(group)
    group.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="number of texts per batch (default: 32)"
    )
    group.add_argument("--threads", type=int, metavar="N", help="number of CPU threads (default: all cores)")
    group.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="device to run on: cpu, or cuda (a GPU; needs the package onnxruntime-gpu) (default: cpu)",
    )
    group.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder in which picture features are kept between runs"
    )


def check_model(name: str) -> None:
    """Check that MODEL names a folder, before DATA is read: the two may have been swapped.

    Raises:
        ModelError: it does not.
    """
    path = Path(name)
    if name == "default" or path.is_dir():
        return
    raise ModelError(
        "not a folder" if path.exists() else "no such folder",
        where=name,
        expected="MODEL: a folder that `twofold train` or `twofold calibrate` wrote, or default for the "
        "model shipped with the package",
        do="give MODEL first, then DATA" if path.is_file() else "check the path",
    )


def model_files(*folders: str | Path | None) -> list[Path]:
    """Files of model folders, which no output may replace; "default" is the shipped model."""
    from twofold.pipeline.extractor import default_folder

    places = [default_folder() if folder == "default" else Path(folder) for folder in folders if folder]
    models = [place for place in places if (place / MANIFEST).is_file()]
    return [file for place in models for file in place.rglob("*") if file.is_file()]


def load_model(
    name: str,
    args: argparse.Namespace,
    max_error: float | None = None,
    max_relation_error: float | None = None,
    coverage: float | None = None,
) -> Extractor:
    """Load the model with this name or folder and these options; limits as in `twofold.load`."""
    from twofold.pipeline.extractor import load  # after the cheap checks: the import is slow

    if args.batch_size < 1:
        raise ConfigError(f"--batch-size is {args.batch_size}", expected="a number above 0")
    extractor = load(
        None if name == "default" else name,
        relation_model=False if args.no_relations else args.relation_model,
        threads=args.threads,
        cache=args.cache,
        max_error=max_error,
        max_relation_error=max_relation_error,
        coverage=coverage,
        max_characters=args.max_characters,
        convention=args.convention,
        mentions=args.mentions,
        hashtags=args.hashtags,
        device=args.device,
    )
    if args.device != "cpu" and getattr(args, "engine", "local") == "local":
        extractor.pipeline.open()  # reports errors of the device before anything is written
    return extractor
