"""``twofold extract``: posts in, entities and relations out, as JSON lines, as a table or as a report.

Every line that came in comes out once: as a line of output, or as a rejected line with its reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.deprecated import add_old_name
from twofold.cli.main import NOTHING_DONE
from twofold.cli.model_options import (
    add_model_options,
    add_picture_options,
    load_model,
    model_files,
    output_file,
)
from twofold.console.extraction_summary import ExtractionSummary
from twofold.console.outputs import RejectLog, line_writer, to_stdout
from twofold.console.progress import watch
from twofold.console.risk import risk_line
from twofold.console.streams import console
from twofold.errors import ConfigError
from twofold.files import Input, OutputFile, Outputs
from twofold.posts import Extraction, Post, Rejected

if TYPE_CHECKING:
    from twofold.pipeline.extractor import Extractor

Pair = tuple[Post, Extraction]
_STDIN = Path("-")


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "extract",
        help="extract entities and relations from posts",
        description="Extract named entities and the relations between them from the posts of FILE, or from "
        "one post given with --text. Each entity and relation has a confidence, the estimated probability "
        "that it is right.",
        epilog="Exit codes: 0 success (a picture that cannot be read, or a post that was read in part, is "
        "a warning); 1 some lines were rejected, or --strict and such a warning; 2 nothing was done.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="file of posts, as JSON Lines or in another format that Twofold reads; - for standard input",
    )
    _add_single(parser.add_argument_group("one post instead of a file"))
    add_picture_options(parser.add_argument_group("pictures of the file"))
    _add_outputs(parser.add_argument_group("output"))
    add_confidence_options(parser.add_argument_group("confidence"))
    add_model_options(parser)


def _add_single(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--text", help="text of the post")
    group.add_argument("--image", type=Path, metavar="FILE", help="picture of the post")
    group.add_argument("--alt-text", metavar="TEXT", help="description of the picture")


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o",
        "--output",
        type=output_file,
        metavar="FILE",
        help="write JSON Lines here (default: standard output)",
    )
    group.add_argument(
        "--report", type=output_file, metavar="HTML", help="also write a report for the browser"
    )
    group.add_argument(
        "--rejects",
        type=output_file,
        metavar="FILE",
        help="write rejected lines and the reasons here, as JSON Lines",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="exit with code 1 also where a picture was unreadable or a post was read in part",
    )
    group.add_argument(
        "--table", action="store_true", help="print a table (the default on a terminal without --output)"
    )


def add_confidence_options(group: argparse._ArgumentGroup) -> None:
    """Options of the confidence: what is left out, marked for review, or listed."""
    group.add_argument(
        "--min-confidence",
        type=float,
        metavar="FRACTION",
        help="leave out entities and relations with a lower confidence, and relations of entities left out",
    )
    group.add_argument(
        "--max-error",
        type=float,
        metavar="FRACTION",
        help="mark uncertain entities and relations for review, so that the error rate of the others is at "
        "most this fraction, such as 0.05",
    )
    group.add_argument(
        "--max-relation-error",
        type=float,
        metavar="FRACTION",
        help="error rate for relations, where it differs from --max-error",
    )
    group.add_argument(
        "--coverage",
        type=float,
        metavar="FRACTION",
        help="list the possible types of each entity and relation: sets that cover the true type at this "
        "rate, such as 0.9",
    )
    add_old_name(group, "--sets", "--coverage")


def run(args: argparse.Namespace) -> int:
    """Extract; the exit code is as the epilog says."""
    check_fractions(args)
    items, source = _open(args)
    table = args.table or (args.output is None and sys.stdout.isatty())
    begin = time.monotonic()
    with Outputs(_inputs(args, source)) as outputs, watch(source, bar=not table) as progress:
        destinations = _Destinations.open(args, outputs, table)
        extractor = load_model(args.model, args, args.max_error, args.max_relation_error, args.coverage)
        if extractor.entity_risk is not None:
            progress.log(risk_line(extractor.entity_risk, "entities"))
        if extractor.relation_risk is not None:
            progress.log(risk_line(extractor.relation_risk, "relations", between_entities=True))
        rejected = RejectLog(
            line_writer(destinations.rejects) if destinations.rejects else None, progress.log
        )
        summary = ExtractionSummary(progress, rejected, related=bool(extractor.relations))
        pairs = paired(extractor, _accepted(items, summary.rejected), args.batch_size)
        if args.min_confidence is not None:
            pairs = ((post, found.with_confidence(args.min_confidence)) for post, found in pairs)
        passed = _through(pairs, [*_sinks(destinations, extractor.pipeline.symmetric), summary.add])
        _consume(_then(passed, lambda: destinations.finish(summary)), destinations, extractor, rejected)
    summary.end()
    if args.text is None:
        progress.log(_summary_line(summary, args, time.monotonic() - begin))
    return _exit_code(summary, args.strict)


def check_fractions(args: argparse.Namespace) -> None:
    """Refuse fractions out of range at once, before the model is loaded."""
    confidence, coverage = args.min_confidence, args.coverage
    if confidence is not None and not 0 <= confidence <= 1:
        raise ConfigError(f"--min-confidence is {confidence}", expected="a fraction from 0 to 1")
    if coverage is not None:
        from twofold.calibration.conformal import COVERAGES

        low, high = COVERAGES[0], COVERAGES[-1]
        if not low <= coverage <= high:
            raise ConfigError(f"--coverage is {coverage}", expected=f"a fraction from {low} to {high}")
    for option, rate in (("max-error", args.max_error), ("max-relation-error", args.max_relation_error)):
        if rate is not None and not 0 < rate < 1:
            raise ConfigError(f"--{option} is {rate}", expected="a fraction above 0 and below 1")


def _summary_line(summary: ExtractionSummary, args: argparse.Namespace, seconds: float) -> str:
    places = [path for path in (args.output, args.report, args.rejects) if path is not None]
    reviewed = args.max_error is not None
    return summary.line(
        seconds,
        places,
        reviewed=reviewed,
        relations_reviewed=reviewed or args.max_relation_error is not None,
    )


def _exit_code(summary: ExtractionSummary, strict: bool) -> int:
    if summary.nothing_done:
        return NOTHING_DONE
    in_part = summary.unreadable or summary.truncated
    return 1 if summary.rejected or (strict and in_part) else 0


# --- what comes in -----------------------------------------------------------------------------------


def _open(args: argparse.Namespace) -> tuple[Iterable[Post | Rejected], Path | None]:
    """Posts, and the file they come from if its length can be known."""
    from twofold.corpora import open_corpus, open_stream

    if args.file is None and args.text is None and (args.image or args.alt_text):
        raise ConfigError(
            "a picture without a text",
            expected="--text: entities are parts of the text, which the picture helps to classify",
            do="give the text of the post, too",
        )
    if (args.file is None) == (args.text is None):
        what = "no posts were given" if args.file is None else "both a file and --text were given"
        raise ConfigError(what, expected="a FILE of posts, - for standard input, or --text")
    if args.text is not None:
        return [_single(args)], None
    if args.image is not None or args.alt_text is not None:
        raise ConfigError(
            "--image and --alt-text belong to one post given with --text",
            do="with a file use --images DIR and --alt-text-file TSV",
        )
    if args.file == _STDIN:
        return open_stream(sys.stdin.buffer, **_beside(args)), None
    posts = open_corpus(args.file, **_beside(args))
    return posts, args.file if args.file.is_file() else None


def _beside(args: argparse.Namespace) -> dict[str, Any]:
    """What lies beside the file, as the readers name it."""
    return {
        "images": args.images,
        "alt_text": args.alt_text_file,
        "allow_outside": args.allow_outside,
        "max_characters": args.max_characters,
    }


def _single(args: argparse.Namespace) -> Post:
    from twofold.corpora import parse_post

    if args.images is not None or args.alt_text_file is not None:
        raise ConfigError(
            "--images and --alt-text-file belong to a file of posts",
            do="with --text use --image PICTURE and --alt-text TEXT",
        )
    record = {"id": 1, "text": args.text, "image": args.image, "alt_text": args.alt_text}
    return parse_post(record, "--text")


def _inputs(args: argparse.Namespace, source: Path | None) -> list[Input]:
    """What is read during the run, standard input included, which may be a file."""
    read: list[Input] = [path for path in (source, args.alt_text_file) if path is not None]
    read += model_files(args.model, args.relation_model)
    with suppress(OSError):  # a stream that is no descriptor, as in tests and notebooks
        return [*read, sys.stdin.fileno()] if args.file == _STDIN else read
    return read


# --- through -----------------------------------------------------------------------------------------


def _accepted(items: Iterable[Post | Rejected], rejected: RejectLog) -> Iterator[Post]:
    for item in items:
        if isinstance(item, Post):
            yield item
        else:
            rejected.add(item)


def paired(extractor: Extractor, posts: Iterable[Post], batch_size: int) -> Iterator[Pair]:
    """Each post with what was found in it, as a stream."""
    waiting: deque[Post] = deque()

    def feed() -> Iterator[Post]:
        for post in posts:
            waiting.append(post)
            yield post

    for extraction in extractor.extract(feed(), batch_size=batch_size):
        yield waiting.popleft(), extraction


def _through(pairs: Iterable[Pair], sinks: Iterable[Callable[[Post, Extraction], None]]) -> Iterator[Pair]:
    sinks = list(sinks)
    for post, extraction in pairs:
        for sink in sinks:
            sink(post, extraction)
        yield post, extraction


def _then(pairs: Iterable[Pair], end: Callable[[], None]) -> Iterator[Pair]:
    yield from pairs
    end()


# --- what goes out -----------------------------------------------------------------------------------


@dataclass
class _Destinations:
    """Where results go; ``output`` is None for standard output, where ``lines`` are wanted there."""

    outputs: Outputs
    lines: bool
    table: bool
    output: OutputFile | None
    report: OutputFile | None
    rejects: OutputFile | None

    @classmethod
    def open(cls, args: argparse.Namespace, outputs: Outputs, table: bool) -> _Destinations:
        """Open everything before the work; lines of a run that is broken off stay in their ``.part``."""
        output = None if to_stdout(args.output) else outputs.open(args.output, keep_part=True)
        report = outputs.open(args.report) if args.report else None
        rejects = None if to_stdout(args.rejects) else outputs.open(args.rejects, keep_part=True)
        return cls(outputs, args.output is not None or not table, table, output, report, rejects)

    def finish(self, summary: ExtractionSummary) -> None:
        """Put the lines in their place: they are complete, whatever becomes of the report."""
        if self.output is not None:
            self.outputs.finish(self.output, keep=not summary.nothing_done)
        if self.rejects is not None:
            self.outputs.finish(self.rejects)


def _sinks(
    destinations: _Destinations, symmetric: Collection[str]
) -> list[Callable[[Post, Extraction], None]]:
    from twofold.records import to_line

    sinks: list[Callable[[Post, Extraction], None]] = []
    if destinations.lines:
        write = line_writer(destinations.output)
        sinks.append(lambda post, extraction: write(to_line(extraction)))
    if destinations.table:
        from twofold.console.extraction_table import ExtractionTable

        printed = ExtractionTable(console(), symmetric)
        sinks.append(lambda post, extraction: printed.add(extraction))
    return sinks


def _consume(
    pairs: Iterator[Pair], destinations: _Destinations, extractor: Extractor, rejected: RejectLog
) -> None:
    if destinations.report is None:
        deque(pairs, maxlen=0)
        return
    from twofold.report import write_report

    write_report(
        pairs,
        destinations.report,
        model=extractor.name,
        symmetric=extractor.pipeline.symmetric,
        rejected=rejected,
    )
