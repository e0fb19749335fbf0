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

from twofold.cli.model_options import add_allow_outside, add_model_options, load_model
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
        description="Score a model on labelled posts by exact spans: lenient (every run of tags is an "
        "entity, as conlleval and the published figures count) and strict (it must begin with B-). A model "
        "that knows relations is scored on posts with gold relations too: on their pairs, and end to end.",
        epilog="Exit codes: 0 all well; 1 some records were rejected and not counted; 2 nothing was done.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model folder, or default")
    parser.add_argument("data", metavar="DATA", type=Path, help="labelled posts in any known format")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--alt-text", type=Path, metavar="FILE", help="table of alternative texts")
    add_allow_outside(parser)
    parser.add_argument(
        "--trust", action="store_true", help="also calibration, risk against coverage, detection of errors"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    parser.add_argument("--report", type=Path, metavar="HTML", help="with --trust: also a page to look at")
    _add_shift_options(parser.add_argument_group("foreign data (with --trust): does the model notice?"))
    _add_robustness_options(parser.add_argument_group("robustness to pictures"))
    add_model_options(parser, model=False)


def _add_shift_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--against",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=[],
        help="posts from elsewhere, labelled or not, in any known format",
    )
    group.add_argument(
        "--shift",
        nargs="+",
        action="extend",
        choices=SHIFTS,
        default=[],
        help="typos: DATA with mistyped words; unseen: entities found in DATA that --seen does not name",
    )
    group.add_argument(
        "--typo-rate",
        type=float,
        default=RATE,
        metavar="PART",
        help=f"part of the words of four characters and more that are mistyped ({RATE})",
    )
    group.add_argument(
        "--seen", type=Path, nargs="+", metavar="FILE", default=[], help="labelled posts of the training"
    )


def _add_robustness_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--pictures",
        action="store_true",
        help="also read each post with another post's picture, a blank, noisy, blurred, occluded, missing "
        "and corrupt one, and say what that does to predictions and uncertainties",
    )
    group.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="with --pictures: N posts, drawn at random (all that have one)",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="with --pictures: of what is drawn (0)"
    )
    group.add_argument(
        "--hide-alt-text", action="store_true", help="with --pictures: the picture alone, without alt texts"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; the exit code is as the epilog says."""
    shifts, robustness = _shift_options(args), _robustness_options(args)
    _check_page(args)
    items = _open(args, args.data)
    source = args.data if args.data.is_file() else None
    with Outputs(_inputs(args)) as outputs, watch(source, bar=True) as progress:
        record = None if to_stdout(args.json) else outputs.open(args.json)
        page = outputs.open(args.report) if args.report else None
        extractor = load_model(args.model, args)
        begin = time.monotonic()
        rejected = RejectLog(None, progress.tell)
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
    return [args.data, *([args.alt_text] if args.alt_text else []), *args.against, *args.seen]


def _open(args: argparse.Namespace, path: Path) -> Iterable[Post | Rejected]:
    from twofold.corpora import open_corpus

    return open_corpus(
        path,
        images=args.images,
        alt_text=args.alt_text,
        allow_outside=args.allow_outside,
        max_characters=args.max_characters,
    )


# --- options that belong together --------------------------------------------------------------------


def _shift_options(args: argparse.Namespace) -> ShiftOptions:
    if (args.against or args.shift) and not args.trust:
        raise ConfigError("--against and --shift are part of --trust", do="add --trust")
    if ("unseen" in args.shift) != bool(args.seen):
        raise ConfigError(
            "--shift unseen and --seen go together",
            do="give the training file as --seen, and --shift unseen",
        )
    if not 0 < args.typo_rate <= 1:
        raise ConfigError(f"--typo-rate is {args.typo_rate}", expected="a part above 0, at most 1")
    return ShiftOptions(args.against, args.shift, args.seen, args.typo_rate)


def _robustness_options(args: argparse.Namespace) -> RobustnessOptions | None:
    if not args.pictures and (args.sample is not None or args.hide_alt_text):
        raise ConfigError("--sample and --hide-alt-text belong to --pictures", do="add --pictures")
    return RobustnessOptions(args.sample, args.seed, args.hide_alt_text) if args.pictures else None


def _check_page(args: argparse.Namespace) -> None:
    """Complain, before anything is read, of a page with nothing on it."""
    if args.report is not None and not args.trust:
        raise ConfigError("--report is the page of --trust", do="add --trust")


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
        progress.tell(f"{result.unlabelled:,} posts carry no labels and were not counted")
    unknown = [name for name in result.entities.lenient.types if name not in extractor.types]
    if unknown:
        progress.tell(
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
            rejected=RejectLog(None, progress.tell).add,
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
