"""``twofold data``: the actions ``check``, ``convert`` and ``draw``; ``regions`` is in `data_regions`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from twofold.cli import data_regions
from twofold.cli.deprecated import add_old_name
from twofold.cli.model_options import add_column_options, add_picture_options, column_names, output_file
from twofold.console.conversion import show_conversion
from twofold.console.data_check import show
from twofold.console.outputs import line_writer
from twofold.console.streams import console
from twofold.console.text import printable
from twofold.corpora import WNUT_TYPES, open_corpus
from twofold.corpora.check import check, data_files, to_dict
from twofold.corpora.convert import convert
from twofold.corpora.formats import FORMATS
from twofold.errors import ConfigError, DataError
from twofold.files import Outputs
from twofold.records import rejected_line
from twofold.synthetic.controlled import TASKS, write_controlled

_CONDITIONS = "matching, missing, blank and mismatched pictures"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``data`` and its actions to the command line."""
    summary = "check and convert data sets, detect regions in pictures, write synthetic data"
    parser = subparsers.add_parser("data", help=summary, description=f"{summary.capitalize()}.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_check(actions)
    _add_convert(actions)
    _add_attachments(data_regions.add_parser(actions))
    _add_draw(actions)


def _add_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "check",
        help="check a data set: known release, counts, broken labels, duplicate texts, unreadable pictures",
        description="Check a data set before training or evaluation: which published release it is, counts "
        "of posts and labels, broken labels, duplicate texts within and between splits, unreadable "
        "pictures.",
        epilog="Exit codes: 0 everything can be read; 1 some records or pictures cannot; 2 nothing can.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        type=Path,
        nargs="+",
        help="data files, or folders of splits; texts are compared between all files",
    )
    _add_attachments(parser)
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write the whole report to this file, as JSON"
    )


def _add_convert(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "convert",
        help="convert a data file to another format",
        description="Convert a data file of any format that Twofold reads to another format.",
        epilog="Exit codes: 0 all records were written; 1 some were not; 2 none was.",
    )
    parser.add_argument("source", metavar="IN", type=Path, help="data file in any format that Twofold reads")
    parser.add_argument("target", metavar="OUT", type=output_file, help="file to write")
    parser.add_argument("--to", required=True, choices=FORMATS, help="format of OUT")
    _add_attachments(parser)
    parser.add_argument(
        "--wnut-types",
        action="store_true",
        help="map the six entity types of WNUT-17 to PER, LOC, ORG and MISC",
    )
    parser.add_argument(
        "--rejects",
        metavar="FILE",
        type=output_file,
        help="write rejected records, with the reasons, to this file as JSON Lines",
    )


def _add_draw(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "draw",
        help="write a synthetic data set that tests whether a model uses pictures",
        description="Write a synthetic data set of ambiguous texts with drawn pictures, in which only the "
        "picture determines the type. A model that uses the pictures can solve it; a text-only model cannot.",
    )
    parser.add_argument("target", metavar="DIR", type=Path, help="new folder for the data set")
    parser.add_argument(
        "--task", choices=TASKS, default="entities", help="what is ambiguous (default: entities)"
    )
    parser.add_argument(
        "--pairs", metavar="N", type=int, default=150, help="pairs of training posts (default: 150)"
    )
    add_old_name(parser, "--twins", "--pairs")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="random seed (default: 1)")


def _add_attachments(parser: argparse.ArgumentParser) -> None:
    add_column_options(parser.add_argument_group("columns of the files"))
    add_picture_options(parser.add_argument_group("pictures"))
    add_old_name(parser, "--alt-text", "--alt-text-file")


def run(args: argparse.Namespace) -> int:
    """Run the action; returns the exit code."""
    return _ACTIONS[args.action](args)


def _check(args: argparse.Namespace) -> int:
    columns = column_names(args)
    files, _ = data_files(*args.paths)
    with Outputs([*files, *_tables(args)]) as outputs:
        output = outputs.open(args.json) if args.json else None
        with console(stderr=True).status("reading") as status:
            report = check(
                *args.paths,
                images=args.images,
                alt_text=args.alt_text_file,
                allow_outside=args.allow_outside,
                columns=columns,
                tick=lambda name, posts: status.update(f"{name}: {posts:,} posts"),
            )
        show(report, console(soft_wrap=True))
        if output is not None:
            output.write(json.dumps(to_dict(report), ensure_ascii=False, indent=1).encode("utf-8"))
    return report.exit_code


def _convert(args: argparse.Namespace) -> int:
    types = WNUT_TYPES if args.wnut_types else {}
    items = open_corpus(
        args.source,
        images=args.images,
        alt_text=args.alt_text_file,
        types=types,
        merge_mentions=False,
        allow_outside=True,
        max_characters=None,
        columns=column_names(args),
    )  # no picture is opened
    inputs = [args.source, *_tables(args)]
    with Outputs(inputs) as outputs:
        rejects = outputs.open(args.rejects) if args.rejects else None
        result = convert(items, args.target, args.to, inputs)
        if rejects is not None:
            write = line_writer(rejects)
            for item in result.rejected:
                write(rejected_line(item))
    show_conversion(result, args.target, args.to)
    return result.exit_code


def _tables(args: argparse.Namespace) -> list[Path]:
    return [args.alt_text_file] if args.alt_text_file else []


def _draw(args: argparse.Namespace) -> int:
    if args.target.exists():
        raise ConfigError("already exists", where=str(args.target), expected="a new folder")
    if args.pairs < 1:
        raise ConfigError(f"--pairs is {args.pairs}", expected="a number above 0")
    try:
        write_controlled(args.target, args.task, train=args.pairs, seed=args.seed)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}",
            where=str(error.filename or args.target),
            expected="a new folder inside a writable one",
        ) from error
    print(printable(f"written to {args.target}: train.jsonl, dev.jsonl, and test posts with {_CONDITIONS}"))
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check,
    "convert": _convert,
    "regions": data_regions.run,
    "draw": _draw,
}
