"""``twofold data regions``: detects regions in the pictures of posts, and writes them with the posts."""

from __future__ import annotations

import argparse
from pathlib import Path

from twofold.cli.deprecated import add_old_name
from twofold.cli.model_options import output_file, posts_of
from twofold.console.regions import every_few_seconds, show_regions
from twofold.errors import ConfigError


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add ``regions`` to the actions of ``data``."""
    parser = actions.add_parser(
        "regions",
        help="detect objects, phrases and text in the pictures of posts",
        description="Detect objects, phrases or text in the pictures of posts, and write the posts as JSON "
        "Lines with the key regions. If a run is interrupted, the same command continues it.",
        epilog="Exit codes: 0 success; 1 some records or pictures cannot be read; 2 nothing was written.",
    )
    parser.add_argument(
        "source", metavar="DATA", type=Path, help="data file in any format that Twofold reads"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=output_file, required=True, help="JSON Lines file to write"
    )
    parser.add_argument(
        "--detector",
        metavar="NAME",
        action="append",
        required=True,
        help="detector: coco (objects) or ocr (text), which are packaged, a model folder, or a model on "
        "the Hugging Face hub (DETR, Grounding DINO, OWL-ViT, …); may be repeated",
    )
    parser.add_argument(
        "--phrases",
        metavar="LIST",
        default="",
        help="phrases that a zero-shot detector searches for, separated by commas (default: person, "
        "location, organization, miscellaneous)",
    )
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="SCORE",
        help="lowest score of a region (default: that of the detector)",
    )
    add_old_name(parser, "--threshold", "--min-score")
    parser.add_argument(
        "--max-regions",
        type=int,
        default=10,
        metavar="N",
        help="largest number of regions per picture and detector (default: 10)",
    )
    add_old_name(parser, "--most", "--max-regions")
    parser.add_argument(
        "--device",
        default="auto",
        help="device for detectors from the hub: auto, cpu or cuda (default: auto)",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="discard the results of an unfinished run, and start over",
    )
    add_old_name(parser, "--fresh", "--restart")
    parser.set_defaults(max_characters=None)
    return parser


def run(args: argparse.Namespace) -> int:
    """Detect regions; returns the exit code."""
    if args.max_regions < 1:
        raise ConfigError(f"--max-regions is {args.max_regions}", expected="1 or more")
    from twofold.detectors.load import load_detector
    from twofold.detectors.prepare import prepare

    phrases = tuple(phrase.strip() for phrase in args.phrases.split(",") if phrase.strip())
    posts = posts_of(args, args.source)  # first, since it reports errors at once
    detectors = [load_detector(name, phrases, args.min_score, args.device) for name in args.detector]
    if phrases and all(detector.kind != "phrase" for detector in detectors):
        raise ConfigError(
            f"{', '.join(args.detector)} cannot search for phrases",
            where="--phrases",
            expected="a zero-shot detector such as Grounding DINO or OWL-ViT",
        )
    result = prepare(
        lambda: iter(posts),
        detectors,
        args.output,
        every_few_seconds(),
        most=args.max_regions,
        fresh=args.restart,
        inputs=[path for path in (args.source, args.alt_text_file) if path],
    )
    show_regions(
        args.output,
        posts=result.posts,
        regions=result.regions,
        pictures=result.pictures,
        unreadable=result.unreadable,
        rejected=result.rejected,
    )
    return result.exit_code
