"""``twofold evaluate``: scores a model on labelled posts, and reports which data were used."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.cli.deprecated import add_old_name, with_old_values
from twofold.cli.model_options import (
    add_column_options,
    add_model_options,
    add_picture_options,
    add_types,
    check_model,
    load_model,
    model_files,
    output_file,
    posts_of,
)
from twofold.console.domain_shift import shift_lines
from twofold.console.outputs import RejectLog, line_writer, to_stdout
from twofold.console.progress import watch
from twofold.console.robustness import robustness_lines
from twofold.console.scores import score_lines
from twofold.console.text import print_lines
from twofold.console.trust import all_trust_lines
from twofold.errors import ConfigError
from twofold.files import Input, OutputFile, Outputs
from twofold.scoring.domain_shift import SHIFTS, ShiftOptions
from twofold.scoring.report import TRUST_TITLES, EvaluationReport
from twofold.scoring.robustness import RobustnessOptions
from twofold.synthetic.typos import RATE


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a model on labelled posts",
        description="Score a model on labelled posts: precision, recall and F1 of entities with exact "
        "boundaries and type. The lenient score counts every run of tags as an entity, as conlleval and "
        "published results do; the strict score counts only runs that begin with B-. If the posts are "
        "tokenized, a span that begins or ends inside a token is expanded to the whole token. Relations are "
        "scored on posts with gold relations, both for gold pairs of entities and end to end.",
        epilog="Exit codes: 0 success; 1 some records were rejected and not counted; 2 nothing was done.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="model folder, or default for the model shipped with the package"
    )
    parser.add_argument(
        "data", metavar="DATA", type=Path, help="labelled posts in any format that Twofold reads"
    )
    add_types(parser)
    add_column_options(parser.add_argument_group("columns of the files"))
    add_picture_options(parser.add_argument_group("pictures"))
    _add_outputs(parser.add_argument_group("output"))
    _add_shift_options(parser.add_argument_group("domain shift (with --trust)"))
    _add_robustness_options(parser.add_argument_group("robustness to pictures"))
    add_model_options(parser, model=False, no_relations="score entities only, which is faster")
    add_old_name(parser, "--alt-text", "--alt-text-file")


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--trust",
        action="store_true",
        help="also report how reliable the confidences are: calibration, selective prediction (error rate "
        "against coverage), and detection of errors by uncertainty",
    )
    group.add_argument(
        "--json",
        type=output_file,
        metavar="FILE",
        help="also write all metrics to this file, as JSON; - for standard output, instead of the text",
    )
    group.add_argument(
        "--trust-report",
        type=output_file,
        metavar="HTML",
        help="with --trust: also write an HTML report",
    )
    add_old_name(group, "--report", "--trust-report")


def _add_shift_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--other-domain",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=[],
        help="posts of another domain, labelled or not, on which the uncertainty should be higher",
    )
    add_old_name(group, "--against", "--other-domain")
    group.add_argument(
        "--shift",
        nargs="+",
        action="extend",
        type=with_old_values("--shift", {"unseen": "new-entities"}),
        choices=SHIFTS,
        default=[],
        help="shifted data made from DATA: typos, or new-entities (entities that do not occur in "
        "--training-data)",
    )
    group.add_argument(
        "--typo-rate",
        type=float,
        default=RATE,
        metavar="FRACTION",
        help=f"fraction of the words of four or more characters that get a typo (default: {RATE})",
    )
    group.add_argument(
        "--training-data",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=[],
        help="labelled posts that the model was trained on, for --shift new-entities",
    )
    add_old_name(group, "--seen", "--training-data")


def _add_robustness_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--robustness",
        action="store_true",
        help="also predict each post with a mismatched picture (of another post) and with a blank, noisy, "
        "blurred, occluded, missing and corrupt picture, and compare predictions and uncertainties",
    )
    add_old_name(group, "--pictures", "--robustness")
    group.add_argument(
        "--sample", type=int, metavar="N", help="with --robustness: use N random posts (default: all)"
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="with --robustness: random seed (default: 0)"
    )
    group.add_argument(
        "--hide-alt-text", action="store_true", help="with --robustness: leave out the alt texts"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; the exit code is as the epilog says."""
    from twofold.scoring.evaluate import evaluate

    check_model(args.model)
    posts, shifts, robustness = posts_of(args, args.data), _shift_options(args), _robustness_options(args)
    if args.trust_report is not None and not args.trust:
        raise ConfigError("--trust-report needs --trust", do="add --trust")
    source = args.data if args.data.is_file() else None
    with Outputs(_inputs(args)) as outputs, watch(source, bar=True) as progress:
        record = None if to_stdout(args.json) else outputs.open(args.json)
        page = outputs.open(args.trust_report) if args.trust_report else None
        extractor = load_model(args.model, args)
        rejected = RejectLog(None, progress.log)
        report = evaluate(
            extractor,
            posts,
            batch_size=args.batch_size,
            trust=args.trust,
            robustness=robustness,
            shifts=shifts,
            types=args.types,
            rejected=rejected.add,
            listener=progress,
        )
        if args.json is not None:
            line_writer(record)(json.dumps(report.to_json(), indent=1))
        if record is not None:
            outputs.finish(record)  # even if writing the page fails
        if page is not None:
            _write_page(report, page, posts.title)
    if str(args.json) != "-":  # standard output would then hold more than JSON
        for lines in (all_trust_lines(report), _comparison_lines(report), score_lines(report)):
            print_lines(lines)
    return 1 if rejected else 0


def _inputs(args: argparse.Namespace) -> list[Input]:
    return [
        args.data,
        *([args.alt_text_file] if args.alt_text_file else []),
        *args.other_domain,
        *args.training_data,
        *model_files(args.model, args.relation_model),
    ]


def _shift_options(args: argparse.Namespace) -> ShiftOptions:
    if (args.other_domain or args.shift) and not args.trust:
        raise ConfigError("--other-domain and --shift need --trust", do="add --trust")
    others, training = ([posts_of(args, path) for path in x] for x in (args.other_domain, args.training_data))
    return ShiftOptions(others, args.shift, training, args.typo_rate)


def _robustness_options(args: argparse.Namespace) -> RobustnessOptions | None:
    if not args.robustness and (args.sample is not None or args.hide_alt_text):
        raise ConfigError("--sample and --hide-alt-text need --robustness", do="add --robustness")
    return RobustnessOptions(args.sample, args.seed, args.hide_alt_text) if args.robustness else None


def _write_page(report: EvaluationReport, page: OutputFile, data: str) -> None:
    from twofold.report.trust_report import write_trust_report

    titled = {TRUST_TITLES[key]: found for key, found in report.trust.items()}
    shifts = [item.shift for item in report.domain_shift]
    write_trust_report(titled, page, model=report.model.name, data=data, shifts=shifts)


def _comparison_lines(report: EvaluationReport) -> Iterator[str]:
    for item in report.domain_shift:
        yield from shift_lines(item.shift)
        yield ""
    if report.robustness is not None:
        yield from robustness_lines(report.robustness)
