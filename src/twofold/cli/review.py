"""``twofold review``: reviews results in the browser, and exports the decisions as training data."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.model_options import add_column_options, add_picture_options, column_names, named_file
from twofold.cli.network_options import access, add_network_options, address_of, check_extra
from twofold.console.streams import say
from twofold.console.text import counted, print_lines
from twofold.errors import ConfigError, TwofoldError
from twofold.reading import real_path

if TYPE_CHECKING:
    from twofold.review.statistics import Rate
    from twofold.review.store import ReviewStore

_TYPES = "PER,LOC,ORG,MISC"


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "review",
        help="review results in the browser, and turn them into training data",
        description="Review RESULTS of `twofold extract` on a web page, the most uncertain posts first: "
        "accept, correct or reject predictions, or add missed ones. Each decision is saved at once in a "
        "database beside RESULTS, under the name of the reviewer. The same command resumes a review.",
        epilog="Exit codes: 0 stopped by SIGTERM or Ctrl-C, or finished; 2 nothing was done.",
    )
    parser.add_argument(
        "results",
        type=Path,
        metavar="RESULTS",
        help="results of `twofold extract`: a file in any of its formats, or the folder of `-o`",
    )
    _add_queue(parser.add_argument_group("review"))
    add_column_options(parser.add_argument_group("columns of the posts"))
    add_picture_options(parser.add_argument_group("pictures of the posts"))
    _add_without_page(parser.add_argument_group("without the page"))
    add_network_options(parser.add_argument_group("network"), port=8010)


def _add_queue(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--posts",
        type=Path,
        metavar="FILE",
        help="file from which the results were extracted, for pictures and alt texts",
    )
    group.add_argument(
        "--store",
        type=named_file,
        metavar="FILE",
        help="database of the decisions (default: RESULTS.review)",
    )
    group.add_argument(
        "--choose-from",
        default=_TYPES,
        metavar="TYPES",
        help=f"entity types to choose from, besides those in the results (default: {_TYPES})",
    )
    group.add_argument(
        "--order",
        choices=("uncertain", "random"),
        default="uncertain",
        help="uncertain (most uncertain posts first, which finds the most errors) or random (so that the "
        "reviewed posts are a random sample, as calibration needs) (default: uncertain)",
    )
    group.add_argument(
        "--overlap",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="fraction of the posts that are given to two reviewers, to measure agreement (default: 0)",
    )


def _add_without_page(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--export",
        type=named_file,
        metavar="FILE",
        help="write the finished posts to this file (not -), as labelled posts in JSON Lines",
    )
    group.add_argument(
        "--last-decides",
        action="store_true",
        help="where reviewers disagree, export the last decision (default: leave the post out)",
    )
    group.add_argument(
        "--figures", action="store_true", help="print error rates and agreement of the decisions so far"
    )


def run(args: argparse.Namespace) -> int:
    """Review; the exit code is as the epilog says."""
    if not 0 <= args.overlap <= 1:
        raise ConfigError(f"--overlap is {args.overlap}", expected="a fraction from 0 to 1")
    if args.last_decides and not args.export:
        raise ConfigError("--last-decides needs --export", do="name the file to write")
    if args.export or args.figures:
        return _without_page(args)
    check_extra()
    from twofold.server.review_app import create_review_app
    from twofold.server.run import open_socket, serve
    from twofold.server.settings import Settings

    hosts, keys = access(args)
    listening = open_socket(args.host, args.port)
    store = _open(args)
    settings = Settings(hosts=hosts, keys=keys)
    say(f"review of {counted(store.count, 'post')} at {address_of(listening)}; decisions in {store.path}")
    serve(create_review_app(store, settings), listening, settings.limits)
    store.close()
    return 0


def _without_page(args: argparse.Namespace) -> int:
    begun = not _database(args).exists()
    store = _open(args)
    try:
        if args.figures:
            print_lines(_metrics(store))
        if args.export:
            _export(args, store)
    except TwofoldError:
        store.close()
        if begun:  # by this command, so it holds no decision
            store.path.unlink()
        raise
    store.close()
    return 0


def _export(args: argparse.Namespace, store: ReviewStore) -> None:
    from twofold.corpora.results import result_files
    from twofold.review.export import export

    inputs = (*result_files(args.results), *filter(None, (args.posts, store.path)))
    done = export(store, args.export, last_decides=args.last_decides, inputs=inputs)
    lines = [
        f"{counted(done.written, 'post')} with {counted(done.entities, 'entity')} and "
        f"{counted(done.relations, 'relation')} -> {args.export}; {done.unfinished:,} not finished"
    ]
    if done.disagreed:
        what = "the last decision was used" if args.last_decides else "left out; --last-decides keeps them"
        lines.append(f"reviewers disagree on {counted(done.disagreed, 'post')}: {what}")
    if done.outside:
        lines.append(
            f"pictures of {counted(done.outside, 'post')} are outside the folder of {args.export}: read it "
            "with --allow-outside"
        )
    for line in lines:
        say(line)


def _database(args: argparse.Namespace) -> Path:
    if args.store:
        return Path(args.store)
    results = args.results if args.results.name else real_path(args.results)  # "." has no name
    return Path(results.with_name(f"{results.name}.review"))


def _open(args: argparse.Namespace) -> ReviewStore:
    """Open the review of these results, or create it."""
    from twofold.corpora import open_corpus
    from twofold.review.results import read_results
    from twofold.review.store import ReviewStore, source_of

    path = _database(args)
    source = source_of(args.results)
    if path.exists():
        store = ReviewStore(path)
        if store.source != source:
            raise ConfigError(
                f"the review is of other results ({store.source})",
                where=str(path),
                expected=source,
                do="name another database with --store, or remove this one",
            )
        return store
    if args.posts is None and (args.images or args.alt_text_file):
        raise ConfigError(
            "--images and --alt-text-file need --posts",
            expected="--posts FILE",
            do="name the file from which the results were extracted",
        )
    posts = args.posts and open_corpus(
        args.posts,
        images=args.images,
        alt_text=args.alt_text_file,
        allow_outside=args.allow_outside,
        max_characters=None,
        columns=column_names(args),
    )
    types = [name.strip() for name in args.choose_from.split(",") if name.strip()]
    results = read_results(args.results, posts)
    return ReviewStore.create(
        path, results, source=source, types=types, overlap=args.overlap, order=args.order
    )


def _metrics(store: ReviewStore) -> list[str]:
    from twofold.review.statistics import statistics

    found = statistics(store.confidences(), store.reviews())
    decided = sum(found.answers.values())
    agreement = found.agreement
    lines = [
        f"finished: {found.finished:,} of {store.count:,} posts",
        f"entities decided: {decided:,} ("
        + ", ".join(f"{name} {count:,}" for name, count in found.answers.items())
        + f"); missed: {found.missed:,}",
        f"wrong among the entities decided: {_rate(found.entity_error)}",
        f"wrong among the relations decided: {_rate(found.relation_error)}",
        f"agreement: F1 {_percent(agreement.f1)} on {counted(agreement.posts, 'post')} "
        "with several reviewers",
        "accepted from   entities   decided   wrong (confidences)   wrong (decisions)",
    ]
    for row in found.entities[::2]:
        if row.accepted:
            estimate = f"{_percent(row.error.value)} [{_percent(row.error.low)}–{_percent(row.error.high)}]"
            lines.append(
                f"{row.threshold:13.2f} {row.accepted:10,} {row.reviewed:9,} {_percent(row.claimed):>21} "
                f"{estimate:>19}"
            )
    return lines


def _rate(rate: Rate) -> str:
    if math.isnan(rate.value):
        return "–"
    return f"{_percent(rate.value)} (95 % interval {_percent(rate.low)} to {_percent(rate.high)})"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"
