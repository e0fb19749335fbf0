"""``twofold extract``: extracts entities and relations from posts, as JSON Lines, a table or a report.

Every input line appears once: as a line of output, or as a rejected line with its reason.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.deprecated import add_old_name
from twofold.cli.extract_batch import (
    end_line,
    exit_code,
    is_folder,
    load_extractor,
    output_format,
    reading_options,
    run_in_shards,
)
from twofold.cli.model_options import (
    add_column_options,
    add_model_options,
    add_picture_options,
    model_files,
    output_file,
)
from twofold.console.extraction_summary import ExtractionSummary
from twofold.console.outputs import RejectLog, line_writer, to_stdout
from twofold.console.progress import watch
from twofold.console.streams import console
from twofold.errors import ConfigError, DataError
from twofold.files import Input, OutputFile, Outputs
from twofold.posts import Extraction, Post, Rejected
from twofold.reading import not_utf8

if TYPE_CHECKING:
    from twofold.batch.inputs import ReadingOptions
    from twofold.pipeline.extractor import Extractor

Pair = tuple[Post, Extraction]


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "extract",
        help="extract entities and relations from posts",
        description="Extract named entities and the relations between them from files of posts, or from a "
        "single post given with --text. Each entity and relation has a confidence, the estimated probability "
        "that it is right. If a run with -o is killed, give the same command again to resume it.",
        epilog="Exit codes: 0 success (an unreadable picture or a truncated post is a warning); 1 some lines "
        "were rejected, or --strict was given and there was such a warning; 2 nothing was done.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="files of posts, folders, patterns such as 'posts/*.csv', or addresses such as "
        "s3://bucket/posts, in JSON Lines, CSV (both also as .gz and .zst), Parquet, tar, or another format "
        "that Twofold reads; or - for JSON Lines from standard input (a named pipe also works)",
    )
    _add_columns(parser.add_argument_group("columns of the files"))
    _add_single(parser.add_argument_group("a single post instead of files"))
    add_picture_options(parser.add_argument_group("pictures of the files"))
    _add_outputs(parser.add_argument_group("output"))
    add_confidence_options(parser.add_argument_group("confidence"))
    _add_run(parser.add_argument_group("many posts"))
    add_model_options(parser)


def _add_columns(group: argparse._ArgumentGroup) -> None:
    add_column_options(group)
    group.add_argument("--carry", metavar="COLUMN,...", help="columns (or JSON keys) to copy to the output")


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where to run: local (this machine) or ray (the Ray cluster at RAY_ADDRESS) (default: local)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of processes, each with its own model on one thread, or on --threads threads (default: "
        "one process on all cores; on a cluster, one per CPU, or one per GPU with --device cuda)",
    )
    group.add_argument(
        "--shard-rows",
        type=int,
        metavar="N",
        help="posts per shard, the unit that a killed run repeats (default: 1024; 4096 if the output is a "
        "folder, where each shard is a file)",
    )
    group.add_argument(
        "--restart", action="store_true", help="discard the results of an unfinished run, and start over"
    )


def _add_single(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--text", help="text of the post")
    group.add_argument("--image", type=Path, metavar="FILE", help="picture of the post")
    group.add_argument("--alt-text", metavar="TEXT", help="description of the picture")


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o",
        "--output",
        metavar="PLACE",
        help="file or folder to write (default: standard output). The suffix of a file sets its format: "
        ".jsonl, .csv, .tsv (each also with .gz or .zst) or .parquet; otherwise JSON Lines, unless it is "
        "that of another known format. A name with a final / is a folder of files",
    )
    group.add_argument(
        "--format", metavar="NAME", help="format of the output, such as csv.gz, whatever its suffix"
    )
    group.add_argument("--report", type=output_file, metavar="HTML", help="also write an HTML report")
    group.add_argument(
        "--rejects",
        type=output_file,
        metavar="FILE",
        help="write rejected lines, with the reasons, to this file as JSON Lines",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="also exit with code 1 if a picture was unreadable or a post was truncated",
    )
    group.add_argument(
        "--table", action="store_true", help="print a table (the default on a terminal, without --output)"
    )


def add_confidence_options(group: argparse._ArgumentGroup) -> None:
    """Add the options that use confidences: what is left out, marked for review, or listed."""
    group.add_argument(
        "--min-confidence",
        type=float,
        metavar="FRACTION",
        help="leave out entities and relations with a lower confidence, and relations of left-out entities",
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
        help="error rate for relations, if it differs from --max-error",
    )
    group.add_argument(
        "--coverage",
        type=float,
        metavar="FRACTION",
        help="list candidate types for each entity and relation: prediction sets that cover the true type at "
        "this rate, such as 0.9",
    )
    add_old_name(group, "--sets", "--coverage")


def run(args: argparse.Namespace) -> int:
    """Extract from posts; the exit code is as the epilog says."""
    _check_numbers(args)
    check_fractions(args)
    _check_not_text(args.files)
    if _in_shards(args):
        return run_in_shards(args)
    items, source = _open(args)
    table = args.table or (args.output is None and sys.stdout.isatty())
    begin = time.monotonic()
    with Outputs(_inputs(args, source)) as outputs, watch(source, bar=not table) as progress:
        destinations = _Destinations.open(args, outputs, table)
        extractor = load_extractor(args, progress.log)
        rejected = RejectLog(
            line_writer(destinations.rejects) if destinations.rejects else None, progress.log
        )
        summary = ExtractionSummary(progress, rejected)
        pairs = paired(extractor, _accepted(items, summary.rejected), args.batch_size)
        if args.min_confidence is not None:
            pairs = ((post, found.with_confidence(args.min_confidence)) for post, found in pairs)
        passed = _with_sinks(pairs, [*_sinks(destinations, extractor.pipeline.symmetric), summary.add])
        _consume(_with_end(passed, lambda: destinations.finish(summary)), destinations, extractor, rejected)
    summary.end()
    if args.text is None:
        seconds = time.monotonic() - begin
        progress.log(end_line(summary.counts, args, bool(extractor.relations), seconds))
    return exit_code(summary.counts, args.strict)


def _in_shards(args: argparse.Namespace) -> bool:
    """Whether the run only writes to a file or folder, without a report or table of all results."""
    alone = args.text is None and not _is_stream(args.files) and not args.table and args.report is None
    single = args.image is not None or args.alt_text is not None
    to_place = args.output is not None and not to_stdout(Path(args.output)) and not _is_special(args.output)
    if args.files and alone and to_place and not single:
        return True
    given = {
        "--engine ray": args.engine == "ray",
        "--workers": args.workers,
        "--restart": args.restart,
        "--shard-rows": args.shard_rows,
    }
    for option, value in given.items():
        if value:
            raise ConfigError(
                f"{option} needs files as input and -o as output",
                expected="no --table, --report, --text or standard input with it",
                do="write the results first, then make the report or table in another run",
            )
    if args.output is not None and (is_folder(args.output) or output_format(args) != "jsonl"):
        raise ConfigError(
            "with --table, --report, --text or standard input, the output must be one file of JSON Lines",
            expected="-o FILE",
            do="leave them out, or name a file for JSON Lines",
        )
    return False


def _is_stream(files: list[str]) -> bool:
    """Whether the posts come from standard input or a pipe, which can be read only once."""
    return files == ["-"] or (len(files) == 1 and Path(files[0]).is_fifo())


def _is_special(output: str) -> bool:
    """Whether the output is a device or a pipe, whose reader gets each result at once."""
    path = Path(output)
    return "://" not in output and path.exists() and not path.is_file() and not path.is_dir()


def _check_not_text(files: list[str]) -> None:
    """Check that a file that does not exist does not look like the text of a post."""
    for name in files:
        there = os.path.lexists(name) or glob.glob(name)  # noqa: PTH207 – `Path.glob` refuses some texts
        if " " in name.strip() and "/" not in name and not there:
            raise DataError(
                "cannot be opened: No such file or directory",
                where=name[:200],
                expected="a data file",
                do="check the path; if it is the text of a post, give it with --text",
            )


def _check_numbers(args: argparse.Namespace) -> None:
    """Check the ranges of numbers, before the model is loaded."""
    if args.output == "":
        raise ConfigError("-o is empty", expected="a file, or a folder with a final /")
    if args.format not in (None, "jsonl") and args.output in (None, "-"):
        raise ConfigError(
            f"--format {args.format} for standard output",
            expected="JSON Lines there",
            do="give a file with -o",
        )
    for option in ("workers", "shard_rows"):
        if getattr(args, option) is not None and getattr(args, option) < 1:
            raise ConfigError(
                f"--{option.replace('_', '-')} is {getattr(args, option)}", expected="a number above 0"
            )


def check_fractions(args: argparse.Namespace) -> None:
    """Check the ranges of fractions, before the model is loaded."""
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


# --- input -------------------------------------------------------------------------------------------


def _open(args: argparse.Namespace) -> tuple[Iterable[Post | Rejected], Path | None]:
    """The posts, and their file if its length can be known."""
    from twofold.batch.inputs import Rows, find_inputs, is_address
    from twofold.corpora import open_corpus, open_stream

    if not args.files and args.text is None and (args.image or args.alt_text):
        raise ConfigError(
            "a picture without a text",
            expected="--text: entities are parts of the text, which the picture helps to classify",
            do="give the text of the post, too",
        )
    if (not args.files) == (args.text is None):
        what = "no posts were given" if not args.files else "both a file and --text were given"
        raise ConfigError(what, expected="a FILE of posts, - for standard input, or --text")
    if args.text is not None:
        return [_single(args)], None
    if args.image is not None or args.alt_text is not None:
        raise ConfigError(
            "--image and --alt-text belong to one post given with --text",
            do="with a file use --images DIR and --alt-text-file TSV",
        )
    if args.files == ["-"]:
        return open_stream(sys.stdin.buffer, **vars(reading_options(args))), None
    if _is_stream(args.files):
        return _of_pipe(Path(args.files[0]), reading_options(args)), None
    if len(args.files) > 1 or is_address(args.files[0]) or not Path(args.files[0]).is_file():
        files = find_inputs(args.files, args.allow_outside)
        return Rows(files, reading_options(args)), None
    file = Path(args.files[0])
    return open_corpus(file, **vars(reading_options(args))), file


def _of_pipe(path: Path, options: ReadingOptions) -> Iterator[Post | Rejected]:
    from twofold.corpora import open_stream

    with path.open("rb") as stream:
        yield from open_stream(stream, **vars(options))


def _single(args: argparse.Namespace) -> Post:
    from twofold.corpora import parse_post

    if args.images is not None or args.alt_text_file is not None:
        raise ConfigError(
            "--images and --alt-text-file belong to a file of posts",
            do="with --text use --image PICTURE and --alt-text TEXT",
        )
    text, alt_text = (value and _as_utf8(option, value) for option, value in _given(args))
    record = {"id": 1, "text": text, "image": args.image, "alt_text": alt_text}
    return parse_post(record, "--text")


def _given(args: argparse.Namespace) -> list[tuple[str, str | None]]:
    return [("--text", args.text), ("--alt-text", args.alt_text)]


def _as_utf8(option: str, value: str) -> str:
    """An argument as UTF-8, whatever the encoding of the locale."""
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeEncodeError:  # passed to `main` from Python: parsing the post reports the error
        return value
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option} is {not_utf8(error)}", expected="text in UTF-8") from error


def _inputs(args: argparse.Namespace, source: Path | None) -> list[Input]:
    """Everything that is read during the run, including standard input, which may be a file."""
    read: list[Input] = [path for path in (source, args.alt_text_file) if path is not None]
    read += model_files(args.model, args.relation_model)
    with suppress(OSError):  # a stream without a descriptor, as in tests and notebooks
        return [*read, sys.stdin.fileno()] if args.files == ["-"] else read
    return read


# --- extraction --------------------------------------------------------------------------------------


def _accepted(items: Iterable[Post | Rejected], rejected: RejectLog) -> Iterator[Post]:
    for item in items:
        if isinstance(item, Post):
            yield item
        else:
            rejected.add(item)


def paired(extractor: Extractor, posts: Iterable[Post], batch_size: int) -> Iterator[Pair]:
    """Each post with its extraction, as a stream."""
    waiting: deque[Post] = deque()

    def feed() -> Iterator[Post]:
        for post in posts:
            waiting.append(post)
            yield post

    for extraction in extractor.extract(feed(), batch_size=batch_size):
        yield waiting.popleft(), extraction


def _with_sinks(pairs: Iterable[Pair], sinks: Iterable[Callable[[Post, Extraction], None]]) -> Iterator[Pair]:
    sinks = list(sinks)
    for post, extraction in pairs:
        for sink in sinks:
            sink(post, extraction)
        yield post, extraction


def _with_end(pairs: Iterable[Pair], finish: Callable[[], None]) -> Iterator[Pair]:
    yield from pairs
    finish()


# --- output ------------------------------------------------------------------------------------------


@dataclass
class _Destinations:
    """Where results go; if ``lines`` is set, ``output`` None means standard output."""

    outputs: Outputs
    lines: bool
    table: bool
    output: OutputFile | None
    report: OutputFile | None
    rejects: OutputFile | None

    @classmethod
    def open(cls, args: argparse.Namespace, outputs: Outputs, table: bool) -> _Destinations:
        """Open all outputs before the run; lines of an interrupted run stay in their ``.part``."""
        from twofold.batch.destinations import unfinished

        place = None if args.output is None else Path(args.output)
        if place is not None and unfinished(place) is not None:
            raise ConfigError(
                "has an unfinished run",
                where=str(place),
                expected="an output without one, or the command of that run, which resumes it",
                do="give that command again, or another output",
            )
        output = None if place is None or to_stdout(place) else outputs.open(place, keep_part=True)
        report = outputs.open(args.report) if args.report else None
        rejects = None if to_stdout(args.rejects) else outputs.open(args.rejects, keep_part=True)
        return cls(outputs, args.output is not None or not table, table, output, report, rejects)

    def finish(self, summary: ExtractionSummary) -> None:
        """Complete the files of lines, even if the report then fails."""
        if self.output is not None:
            self.outputs.finish(self.output, keep=not summary.counts.nothing_done)
        if self.rejects is not None:
            self.outputs.finish(self.rejects)


def _sinks(
    destinations: _Destinations, symmetric: Collection[str]
) -> list[Callable[[Post, Extraction], None]]:
    from twofold.batch.part_formats import json_line

    sinks: list[Callable[[Post, Extraction], None]] = []
    if destinations.lines:
        write = line_writer(destinations.output)
        sinks.append(lambda post, extraction: write(json_line(post, extraction)))
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
