"""``twofold card``: prints the card of a model: training data, scores, calibration."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from twofold.cli.model_options import output_file
from twofold.console.outputs import line_writer, to_stdout
from twofold.console.text import print_lines
from twofold.files import Outputs


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "card",
        help="print the card of a model",
        description="Print the card of a model: training data, scores, calibration, thresholds and "
        "prediction sets. A folder with a relation model has two cards.",
        epilog="Exit codes: 0 success; 2 nothing was done.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="model folder, or default for the model shipped with the package"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=output_file,
        metavar="FILE",
        help="also write the card to this file, as Markdown",
    )
    parser.add_argument(
        "--json", type=output_file, metavar="FILE", help="also write all of it to this file, as JSON"
    )


def run(args: argparse.Namespace) -> int:
    """Print the card; returns 0."""
    from twofold.model_folder.card_pages import pages, read_card
    from twofold.pipeline.extractor import default_folder

    folder = default_folder() if args.model == "default" else Path(args.model)
    with Outputs([folder / "card.json", folder / "README.md"]) as outputs:
        page, record = (None if to_stdout(path) else outputs.open(path) for path in (args.output, args.json))
        card = read_card(folder)
        text = "\n".join(pages(card, str(folder)))
        if args.output is not None:
            line_writer(page)(text.rstrip("\n"))
        if args.json is not None:
            line_writer(record)(json.dumps(card, indent=1, ensure_ascii=False))
    if "-" not in (str(args.output), str(args.json)):
        print_lines([text.removesuffix("\n")])
    return 0
