"""``twofold combine``: combines a tagger and a relation model in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from twofold.console.text import printable


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "combine",
        help="combine an entity model and a relation model in one folder",
        description="Write a model folder with an entity model and a relation model. Encoders that both "
        "use are stored once. The two folders do not change.",
        epilog="Exit codes: 0 the model folder is written; 2 nothing was done.",
    )
    parser.add_argument(
        "tagger",
        metavar="TAGGER",
        help="folder of an entity model, or default for the one shipped with the package",
    )
    parser.add_argument("relations", metavar="RELATIONS", type=Path, help="folder of a relation model")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="model folder to write"
    )


def run(args: argparse.Namespace) -> int:
    """Combine the two models; returns 0."""
    from twofold.pipeline.extractor import combine

    folder = combine(None if args.tagger == "default" else args.tagger, args.relations, args.output)
    shared = folder.relations.config.shared_files if folder.relations else ()
    size = sum(file.stat().st_size for file in args.output.rglob("*") if file.is_file())
    print(
        printable(
            f"model folder: {args.output}, {size / 1e6:.1f} MB; shared: {', '.join(shared) or 'nothing'}"
        )
    )
    return 0
