"""``twofold reproduce``: runs, resumes and prints a table of methods × data sets × seeds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.console.outputs import lines_to
from twofold.console.text import printable
from twofold.errors import ConfigError, DataError
from twofold.files import OutputFile
from twofold.reading import not_json, read_text

if TYPE_CHECKING:
    from twofold.experiments.plan import Run
    from twofold.experiments.runs import Runs
    from twofold.experiments.table import Table


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "reproduce",
        help="compare methods on data sets with several seeds",
        description="Train and evaluate every method on every data set with every seed of TABLE.toml. If the "
        "command is interrupted, giving it again continues it; finished runs are kept. With --render, "
        "write tables from JSON files instead.",
        epilog="Exit codes: 0 all runs are finished; 1 some failed or are missing; 2 nothing was done.",
    )
    parser.add_argument(
        "tables",
        nargs="+",
        type=Path,
        metavar="TABLE.toml",
        help="table of methods, data sets and seeds; see docs/reproduce.md",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for the runs; with --render, the file to write",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of the data sets (default: folder of the table)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="only these runs: data/method/seed, or one of the three; * matches anything",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="number of parallel runs (default: 1)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="number of CPU threads per run (default: 1)"
    )
    parser.add_argument("--keep-models", action="store_true", help="keep the model folders of the runs")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="JSON file of the results (default: OUT/TABLE.json)"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--list", action="store_true", help="only list the runs, and which of them are finished"
    )
    mode.add_argument(
        "--collect", action="store_true", help="only write the tables of the finished runs, without training"
    )
    mode.add_argument(
        "--render", action="store_true", help="read JSON files of tables and write one Markdown file to OUT"
    )


def run(args: argparse.Namespace) -> int:
    """Run the experiments, or write their tables; the exit code is as the epilog says."""
    if args.render:
        return _render(args.tables, args.output)
    if min(args.jobs, args.threads) < 1:
        raise ConfigError(
            "--jobs or --threads is below 1", where="twofold reproduce", expected="numbers above 0"
        )
    if args.json and len(args.tables) > 1:
        raise ConfigError(
            "--json was given with several tables", where="twofold reproduce", expected="one TABLE.toml"
        )
    return max(_reproduce(path, args) for path in args.tables)


def _reproduce(path: Path, args: argparse.Namespace) -> int:
    from twofold.experiments.plan import runs_of
    from twofold.experiments.runs import Runs
    from twofold.experiments.table import read_table

    table = read_table(path, args.data)
    wanted = runs_of(table, tuple(args.only))
    runs = Runs(args.output / "runs")
    if args.list:
        return _list(wanted, runs)
    if not args.collect:
        for path in _files(table, args):  # checks that they can be written before the runs start
            OutputFile(path, make_folder=True).abandon()
        _train(wanted, runs, args)
    missing = [run for run in wanted if runs.result(run) is None]
    _write(table, runs, args)
    return 1 if missing else 0


def _list(wanted: list[Run], runs: Runs) -> int:
    for item in wanted:
        print("done" if runs.result(item) else "to do", printable(item.name), printable(item.id), sep="\t")
    return 0


def _train(wanted: list[Run], runs: Runs, args: argparse.Namespace) -> None:
    from twofold.experiments.runs import Options
    from twofold.training.start import require_train_extra

    require_train_extra()
    options = Options(args.jobs, args.threads, args.keep_models)
    runs.do(wanted, options, lambda line: print(printable(line), flush=True))


def _write(table: Table, runs: Runs, args: argparse.Namespace) -> None:
    """Write the table of all finished runs, including those that ``--only`` leaves out."""
    from twofold.experiments.page import render
    from twofold.experiments.plan import runs_of
    from twofold.experiments.summary import summarise

    every = runs_of(table)
    results = {run.id: found for run in every if (found := runs.result(run)) is not None}
    summary = summarise(table, every, results)
    metrics, page = _files(table, args)
    with lines_to(metrics) as write:
        write(json.dumps(summary, indent=1, ensure_ascii=False))
    with lines_to(page) as write:
        write(render([summary]).rstrip("\n"))
    print(printable(f"{len(results)} of {len(every)} runs are finished; metrics: {metrics}"))


def _files(table: Table, args: argparse.Namespace) -> tuple[Path, Path]:
    """Files for the metrics (JSON) and the page (Markdown)."""
    return args.json or args.output / f"{table.name}.json", args.output / f"{table.name}.md"


def _render(files: list[Path], out: Path) -> int:
    from twofold.experiments.page import render

    for file in files:
        try:
            render([_read(file)])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                "holds no results of a table", where=str(file), expected="JSON that `twofold reproduce` wrote"
            ) from error
    page = render([_read(file) for file in files])
    with lines_to(out) as write:
        write(page.rstrip("\n"))
    return 0


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else not_json(error)
        raise DataError(f"cannot be read: {reason}", where=str(file), expected="JSON of a table") from error
    return found
