"""``twofold data regions``: what is in the pictures of posts, found once and written beside the posts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from twofold.console.regions import every_few_seconds, show_regions
from twofold.corpora import open_corpus
from twofold.errors import ConfigError
from twofold.posts import Post, Rejected


def _opened(args: argparse.Namespace) -> Iterator[Post | Rejected]:
    return open_corpus(
        args.source,
        images=args.images,
        alt_text=args.alt_text,
        allow_outside=args.allow_outside,
        max_characters=None,
    )


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add ``regions`` to the actions of ``data``."""
    parser = actions.add_parser(
        "regions",
        help="find objects, phrases and text in the pictures of posts",
        description="Write the posts of DATA as JSON Lines with a key regions. "
        "A run that was cut off goes on where it was when it is started again.",
        epilog="exit codes: 0 all well; 1 records or pictures cannot be read; 2 nothing was written",
    )
    parser.add_argument("source", metavar="DATA", type=Path, help="a data file of any known format")
    parser.add_argument(
        "-o", "--out", metavar="OUT.jsonl", type=Path, required=True, help="the file to write"
    )
    parser.add_argument(
        "--detector",
        metavar="NAME",
        action="append",
        required=True,
        help="coco or ocr (packaged), a folder, or a name on the hub (DETR, Grounding DINO, OWL-ViT, …); "
        "may be given several times",
    )
    parser.add_argument(
        "--phrases",
        metavar="LIST",
        default="",
        help="what a detector of phrases looks for, with commas between; "
        "default: person, location, organization, miscellaneous",
    )
    parser.add_argument("--threshold", type=float, help="least score; default: the detector's own")
    parser.add_argument("--most", type=int, default=10, help="regions of a picture and detector; default: 10")
    parser.add_argument("--device", default="auto", help="of a hub's detector: auto, cpu, cuda")
    parser.add_argument("--fresh", action="store_true", help="forget what a run that was cut off had found")
    return parser


def run(args: argparse.Namespace) -> int:
    """Find regions; returns the exit code."""
    if args.most < 1:
        raise ConfigError(f"{args.most} came", where="--most", expected="1 or more")
    from twofold.detectors.load import load_detector
    from twofold.detectors.prepare import prepare

    phrases = tuple(phrase.strip() for phrase in args.phrases.split(",") if phrase.strip())
    _opened(args)  # tells at once what is amiss
    detectors = [load_detector(name, phrases, args.threshold, args.device) for name in args.detector]
    if phrases and all(detector.kind != "phrase" for detector in detectors):
        raise ConfigError(
            f"{', '.join(args.detector)} cannot look for phrases",
            where="--phrases",
            expected="a zero-shot detector such as Grounding DINO or OWL-ViT",
        )
    result = prepare(
        lambda: _opened(args),
        detectors,
        args.out,
        every_few_seconds(),
        most=args.most,
        fresh=args.fresh,
        inputs=[path for path in (args.source, args.alt_text) if path],
    )
    show_regions(
        args.out,
        posts=result.posts,
        regions=result.regions,
        pictures=result.pictures,
        unreadable=result.unreadable,
        rejected=result.rejected,
    )
    return result.exit_code
