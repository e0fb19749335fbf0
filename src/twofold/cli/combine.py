"""``twofold combine``: a tagger and a relation model in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "combine",
        help="join a tagger and a relation model in one folder",
        description="Write a model folder that holds both, encoders that are the same only once. "
        "Neither of the two is changed.",
    )
    parser.add_argument("tagger", metavar="TAGGER", help="folder of a model for entities, or default")
    parser.add_argument("relations", metavar="RELATIONS", type=Path, help="folder of a model for relations")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="the model folder to make"
    )


def run(args: argparse.Namespace) -> int:
    """Combine; 0 when the folder is there."""
    from twofold.pipeline import combine

    folder = combine(None if args.tagger == "default" else args.tagger, args.relations, args.out)
    shared = folder.relations.config.shared_files if folder.relations else ()
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    print(f"model folder: {args.out}, {size / 1e6:.1f} MB; in common: {', '.join(shared) or 'nothing'}")
    return 0
