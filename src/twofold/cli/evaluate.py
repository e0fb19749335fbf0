"""``twofold evaluate``: scores of a model on labelled posts, and which data that was."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.deprecated import add_old_name, with_old_values
from twofold.cli.model_options import add_model_options, add_picture_options, load_model
from twofold.console.domain_shift import shift_lines
from twofold.console.outputs import RejectLog, line_writer, to_stdout
from twofold.console.progress import Progress, watch
from twofold.console.relation_trust import relation_trust_lines
from twofold.console.robustness import robustness_lines
from twofold.console.scores import score_lines
from twofold.console.trust import trust_lines
from twofold.errors import ConfigError, DataError
from twofold.evaluation.trust_report import ALL, TrustReport
from twofold.files import Input, OutputFile, Outputs
from twofold.posts import Post, Rejected
from twofold.scoring.data_facts import data_facts, data_title
from twofold.scoring.domain_shift import SHIFTS, DomainShiftEvaluation, ShiftOptions, ShiftResult
from twofold.scoring.evaluate import EvaluationResult, evaluate_posts
from twofold.scoring.robustness import RobustnessOptions, RobustnessResult, evaluate_robustness
from twofold.synthetic.typos import RATE

if TYPE_CHECKING:
    from twofold.pipeline import Extractor


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a model on labelled posts",
        description="Score a model on labelled posts: precision, recall and F1 of entities with exact "
        "boundaries and type. The lenient score counts every run of tags as a gold entity, as conlleval "
        "and published results do; the strict score counts only those that begin with B-. Relations are "
        "scored on posts with gold relations: for gold pairs of entities, and end to end.",
        epilog="Exit codes: 0 success; 1 some records were rejected and not counted; 2 nothing was done.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="model folder, or default for the model in the package"
    )
    parser.add_argument(
        "data", metavar="DATA", type=Path, help="labelled posts in any format that Twofold reads"
    )
    add_picture_options(parser.add_argument_group("pictures"))
    _add_outputs(parser.add_argument_group("output"))
    _add_shift_options(parser.add_argument_group("domain shift (with --trust)"))
    _add_robustness_options(parser.add_argument_group("robustness to pictures"))
    add_model_options(parser, model=False)
    add_old_name(parser, "--alt-text", "--alt-text-file")


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--trust",
        action="store_true",
        help="also report how far confidences can be trusted: calibration, selective prediction (error "
        "rate against coverage), and detection of errors by the uncertainties",
    )
    group.add_argument("--json", type=Path, metavar="FILE", help="also write all metrics here, as JSON")
    group.add_argument(
        "--trust-report", type=Path, metavar="HTML", help="with --trust: write a report for the browser"
    )
    add_old_name(group, "--report", "--trust-report")


def _add_shift_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--other-domain",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=[],
        help="posts of another domain, labelled or not: does the model report higher uncertainty on them?",
    )
    add_old_name(group, "--against", "--other-domain")
    group.add_argument(
        "--shift",
        nargs="+",
        action="extend",
        type=with_old_values("--shift", {"unseen": "new-entities"}),
        choices=SHIFTS,
        default=[],
        help="shifts made from DATA: typos, or new-entities (entities that are not in --training-data)",
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
        help="also predict each post with the picture of another post, and with a blank, noisy, blurred, "
        "occluded, missing and corrupt picture; compare predictions and uncertainties",
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
    shifts, robustness = _shift_options(args), _robustness_options(args)
    _check_page(args)
    items = _open(args, args.data)
    source = args.data if args.data.is_file() else None
    with Outputs(_inputs(args)) as outputs, watch(source, bar=True) as progress:
        record = None if to_stdout(args.json) else outputs.open(args.json)
        page = outputs.open(args.trust_report) if args.trust_report else None
        extractor = load_model(args.model, args)
        begin = time.monotonic()
        rejected = RejectLog(None, progress.log)
        result = evaluate_posts(
            extractor,
            items,
            batch_size=args.batch_size,
            trust=args.trust,
            keep_posts=robustness is not None,
            rejected=rejected.add,
            listener=progress,
        )
        _check(result, args.data, extractor, progress)
        run_ = _Evaluated(args, extractor, result, len(rejected))
        run_.evaluate_robustness(robustness, progress)
        run_.evaluate_shifts(shifts, progress)
        if args.json is not None:
            line_writer(record)(json.dumps(run_.record(time.monotonic() - begin), indent=1))
        if record is not None:
            outputs.finish(record)  # whatever becomes of the page
        run_.write_page(page)
    run_.show()
    return 1 if rejected or any(item.rejected for item in run_.shifts) else 0


def _inputs(args: argparse.Namespace) -> list[Input]:
    return [
        args.data,
        *([args.alt_text_file] if args.alt_text_file else []),
        *args.other_domain,
        *args.training_data,
    ]


def _open(args: argparse.Namespace, path: Path) -> Iterable[Post | Rejected]:
    from twofold.corpora import open_corpus

    return open_corpus(
        path,
        images=args.images,
        alt_text=args.alt_text_file,
        allow_outside=args.allow_outside,
        max_characters=args.max_characters,
    )


# --- options that belong together --------------------------------------------------------------------


def _shift_options(args: argparse.Namespace) -> ShiftOptions:
    if (args.other_domain or args.shift) and not args.trust:
        raise ConfigError("--other-domain and --shift are part of --trust", do="add --trust")
    if ("new-entities" in args.shift) != bool(args.training_data):
        raise ConfigError(
            "--shift new-entities and --training-data go together",
            do="give the training file as --training-data, and --shift new-entities",
        )
    if not 0 < args.typo_rate <= 1:
        raise ConfigError(f"--typo-rate is {args.typo_rate}", expected="a fraction above 0, at most 1")
    return ShiftOptions(args.other_domain, args.shift, args.training_data, args.typo_rate)


def _robustness_options(args: argparse.Namespace) -> RobustnessOptions | None:
    if not args.robustness and (args.sample is not None or args.hide_alt_text):
        raise ConfigError("--sample and --hide-alt-text belong to --robustness", do="add --robustness")
    return RobustnessOptions(args.sample, args.seed, args.hide_alt_text) if args.robustness else None


def _check_page(args: argparse.Namespace) -> None:
    """Complain, before anything is read, of a page with nothing on it."""
    if args.trust_report is not None and not args.trust:
        raise ConfigError("--trust-report is the report of --trust", do="add --trust")


def _check(result: EvaluationResult, path: Path, extractor: Extractor, progress: Progress) -> None:
    """Complain where there was nothing to score, or types that the model cannot know."""
    if not result.posts:
        knows = {"entities": extractor.types, "relations": extractor.relations}
        raise DataError(
            "no labelled post",
            where=str(path),
            expected=f"posts with gold {' or '.join(what for what, names in knows.items() if names)}",
            do="see `twofold data check`",
        )
    if result.unlabelled:
        progress.log(f"{result.unlabelled:,} posts carry no labels and were not counted")
    unknown = [name for name in result.entities.lenient.types if name not in extractor.types]
    if unknown:
        progress.log(
            f"the model does not know the types {', '.join(unknown)}; their entities count as missed"
        )


# --- results -----------------------------------------------------------------------------------------


class _Evaluated:
    """Everything that was evaluated, to be shown and written."""

    def __init__(
        self, args: argparse.Namespace, extractor: Extractor, result: EvaluationResult, rejected: int
    ) -> None:
        self._args, self._extractor, self._result = args, extractor, result
        self._data = data_facts(args.data, result, rejected)
        self._trust: dict[str, TrustReport] = result.trust_reports
        self._robustness: RobustnessResult | None = None
        self.shifts: Sequence[ShiftResult] = ()

    def evaluate_robustness(self, options: RobustnessOptions | None, progress: Progress) -> None:
        if options is not None:
            self._robustness = evaluate_robustness(
                self._extractor,
                self._result.kept,
                options,
                batch_size=self._args.batch_size,
                listener=progress,
            )

    def evaluate_shifts(self, options: ShiftOptions, progress: Progress) -> None:
        evaluation = DomainShiftEvaluation(
            self._extractor,
            partial(_open, self._args),
            batch_size=self._args.batch_size,
            rejected=RejectLog(None, progress.log).add,
            listener=progress,
        )
        self.shifts = list(evaluation.run(self._args.data, options))

    def write_page(self, page: OutputFile | None) -> None:
        if page is None:
            return
        from twofold.report.trust_report import write_trust_report

        related = {item.title: item.report for item in self._relation_trust}
        write_trust_report(
            self._trust | related,
            page,
            model=self._extractor.name,
            data=data_title(self._args.data),
            shifts=[item.shift for item in self.shifts],
        )

    def record(self, seconds: float) -> dict[str, Any]:
        """All metrics; precision, recall and F1 in [0, 1]."""
        manifest = (self._extractor.folder.path / "manifest.json").read_bytes()
        return {
            "model": {"name": self._extractor.name, "manifest_sha256": hashlib.sha256(manifest).hexdigest()},
            "data": self._data,
            **self._result.record(),
            "seconds": round(seconds, 2),
            **({"trust": self._result.trust_record()} if self._trust else {}),
            **({"domain_shift": [item.record() for item in self.shifts]} if self.shifts else {}),
            **({"robustness": self._robustness.record()} if self._robustness else {}),
        }

    def show(self) -> None:
        for what, report in self._trust.items():
            rows = list(report.calibration) if what == "entities" else [ALL]
            print("\n".join(trust_lines(report, what, rows)), end="\n\n")
        for line in relation_trust_lines(self._relation_trust):
            print(line)
        for item in self.shifts:
            print("\n".join(shift_lines(item.shift)), end="\n\n")
        for line in robustness_lines(self._robustness) if self._robustness else ():
            print(line)
        extractor = self._extractor
        print("\n".join(score_lines(self._result, self._data, extractor.name, extractor.folder.path)))

    @property
    def _relation_trust(self) -> Sequence[Any]:
        related = self._result.relation_trust
        return related.reports if related is not None else ()
