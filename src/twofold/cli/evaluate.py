"""``twofold evaluate``: scores of a model on labelled posts, and which data that was."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.examined import examined
from twofold.cli.extract import add_model_options, load_model
from twofold.cli.relation_scores import RelationResult, figures, headline, score_record
from twofold.cli.relation_trust import RelationTrust
from twofold.cli.shifts import add_shift_options, check_shift_options, foreign_data
from twofold.cli.trust_page import add_page_option, check_page_option, write_page
from twofold.cli.witness_view import WitnessStand, add_picture_options
from twofold.console.domain_shift import shift_lines
from twofold.console.outputs import RejectLog, lines_to
from twofold.console.progress import Progress, watch
from twofold.console.trust import trust_lines
from twofold.errors import DataError
from twofold.evaluation.calibration import calibration_error
from twofold.evaluation.predictions import PredictionCollector
from twofold.evaluation.spans import SpanScores, TwoCounts
from twofold.evaluation.triples import whole_posts
from twofold.evaluation.trust_report import ALL, TrustReport, plain, trust_report
from twofold.posts import Extraction, Post, Rejected

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

_NAMED = 10


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
    parser.add_argument(
        "--trust", action="store_true", help="also calibration, risk against coverage, detection of errors"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    add_page_option(parser)
    add_shift_options(parser)
    add_picture_options(parser)
    add_model_options(parser, model=False)


def run(args: argparse.Namespace) -> int:
    """Evaluate; the exit code is as the epilog says."""
    from twofold.corpora import open_corpus

    check_shift_options(args)
    check_page_option(args)
    witness = WitnessStand(args)
    items = open_corpus(args.data, images=args.images, alt_text=args.alt_text)
    extractor = load_model(args.model, args)
    begin = time.monotonic()
    with ExitStack() as stack:
        write = stack.enter_context(lines_to(args.json)) if args.json else None
        progress = stack.enter_context(watch(args.data if args.data.is_file() else None, bar=True))
        rejected = RejectLog(None, progress.tell)
        result = _Result(progress)
        labelled = result.labelled(items, rejected, extractor)
        posts = whole_posts(labelled) if extractor.relations else labelled
        related = RelationResult(bool(extractor.types), extractor.symmetric)
        trusted = RelationTrust(args, extractor)
        # The model looks at text, picture and alt text only; gold travels beside them on the post.
        for post, extraction, before, judged in examined(extractor, posts, args.batch_size, args.trust):
            result.add(post, extraction, bool(extractor.types), before)
            witness.add(post)
            if extractor.relations and post.relations is not None:
                related.add(post, extraction, judged)
                trusted.add(post, extraction)
        result.check(args.data, extractor)
        reports = _reports(result, related) if args.trust else {}
        witness.examine(extractor, progress.tell)
        foreign = list(foreign_data(args, extractor, progress))
        shown = reports | trusted.reports() if args.report else {}
        write_page(args, extractor.name, shown, [item.shift for item in foreign])
        if write is not None:
            record = _record(result, related, rejected, args, extractor, time.monotonic() - begin)
            trust = {"trust": plain(reports) | trusted.record()} if reports else {}
            shifts = {"foreign": [item.record() for item in foreign]} if foreign else {}
            write(json.dumps(record | trust | shifts | witness.record(), indent=1))
    for what, report in reports.items():
        rows = list(report.calibration) if what == "entities" else [ALL]
        print("\n".join(trust_lines(report, what, rows)), end="\n\n")
    for line in trusted.lines():
        print(line)
    for item in foreign:
        print("\n".join(shift_lines(item.shift)), end="\n\n")
    for line in witness.lines():
        print(line)
    print("\n".join(_lines(result, related, rejected, args, extractor)))
    return 1 if rejected or any(item.rejected for item in foreign) else 0


def _reports(result: _Result, related: RelationResult) -> dict[str, TrustReport]:
    """Trust in entities, and in relations between given pairs, as far as there were any to find."""
    reports = {}
    if result.scored:
        reports["entities"] = trust_report(result.found.predictions())
    if related.posts:
        reports["relations"] = related.trust()
    return reports


@dataclass
class _Result:
    """Everything that is counted; of ``posts``, entities could be ``scored`` in some."""

    progress: Progress
    found: PredictionCollector = field(default_factory=PredictionCollector)
    counts: TwoCounts = field(default_factory=TwoCounts)
    pictures: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    scored: int = 0
    tokens: int = 0
    unlabelled: int = 0

    def labelled(
        self, items: Iterable[Post | Rejected], rejected: RejectLog, extractor: Extractor
    ) -> Iterator[Post]:
        """Posts that carry labels of what the model finds; the others are counted."""
        for item in items:
            if isinstance(item, Rejected):
                rejected.add(item)
            elif (extractor.types and item.entities is not None) or (
                extractor.relations and item.relations is not None
            ):
                yield item
            else:
                self.unlabelled += 1

    def add(
        self, post: Post, extraction: Extraction, finds_entities: bool, before: Sequence[float] = ()
    ) -> None:
        """Count one post; ``before`` are its confidences before calibration, if known."""
        self.posts += 1
        self.tokens += len(post.tokens or ())
        self._count_picture(post, extraction)
        self.progress.step(post)
        if finds_entities and post.entities is not None:
            self._count_entities(post, extraction, before)

    def _count_entities(self, post: Post, extraction: Extraction, before: Sequence[float]) -> None:
        self.scored += 1
        gold = [((e.start, e.end, e.type), e.well_formed) for e in post.entities or ()]
        found = [(e.start, e.end, e.type) for e in extraction.entities]
        self.counts.add(gold, found)
        self.found.add(extraction.entities, post.entities or (), before)

    def _count_picture(self, post: Post, extraction: Extraction) -> None:
        status = extraction.picture.status
        self.pictures[status] += 1
        if status == "unreadable" and self.pictures[status] <= _NAMED:
            self.progress.tell(f"{post.origin}: picture unreadable: {extraction.picture.reason}")

    def check(self, path: Path, extractor: Extractor) -> None:
        """Complain where there was nothing to score, or types that the model cannot know."""
        if not self.posts:
            raise DataError(
                "no labelled post",
                where=str(path),
                expected=f"posts with gold {' or '.join(_finds(extractor))}",
                do="see `twofold data check`",
            )
        if self.unlabelled:
            self.progress.tell(f"{self.unlabelled:,} posts carry no labels and were not counted")
        unknown = [t for t in self.counts.lenient.scores().types if t not in extractor.types]
        if unknown:
            self.progress.tell(
                f"the model does not know the types {', '.join(unknown)}; their entities count as missed"
            )

    def entity_lines(self) -> Iterator[str]:
        """Scores of entities, for a person to read."""
        lenient, strict = self.counts.lenient.scores(), self.counts.strict.scores()
        yield f"{'lenient':12}      P      R     F1   gold  found"
        for name, score in lenient.types.items():
            yield f"{name:12} {figures(score)} {score.gold:6} {score.predicted:6}"
        yield ""
        error = self.calibration_error()
        told = f"calibration error of the confidences {100 * error:.2f}"
        yield told if math.isfinite(error) else "nothing was found"
        yield f"lenient {headline(lenient.overall)}"
        yield f"strict {headline(strict.overall)}"

    def entity_record(self) -> dict[str, Any]:
        """Scores of entities, for a file."""
        return {
            "lenient": _scores(self.counts.lenient.scores()),
            "strict": _scores(self.counts.strict.scores()),
            "calibration_error": plain(self.calibration_error()),
        }

    def calibration_error(self) -> float:
        """Expected calibration error of the confidences, in [0, 1]; nan where nothing was found."""
        found = self.found.predictions()
        return calibration_error(found.confidence, found.right)


# --- shown -------------------------------------------------------------------------------------------


def _finds(extractor: Extractor) -> list[str]:
    knows = {"entities": extractor.types, "relations": extractor.relations}
    return [what for what, names in knows.items() if names]


def _lines(
    result: _Result,
    related: RelationResult,
    rejected: RejectLog,
    args: argparse.Namespace,
    extractor: Extractor,
) -> Iterator[str]:
    data = _data(result, rejected, args.data)
    yield f"model     {extractor.name} ({extractor.folder.path})"
    yield f"data      {args.data}: {data['release'] or 'no known release'}, md5 {data['md5']}"
    if data["note"]:
        yield f"          {data['note']}"
    yield f"posts     {result.posts} labelled, {len(rejected)} rejected, {result.unlabelled} without labels"
    yield "pictures  " + ", ".join(f"{result.pictures[s]} {s}" for s in ("read", "none", "unreadable"))
    if result.scored:
        yield ""
        yield from result.entity_lines()
    if related.posts:
        yield ""
        yield from related.lines()


# --- written -----------------------------------------------------------------------------------------


def _record(
    result: _Result,
    related: RelationResult,
    rejected: RejectLog,
    args: argparse.Namespace,
    extractor: Extractor,
    seconds: float,
) -> dict[str, Any]:
    """All figures; precision, recall and F1 in [0, 1]."""
    manifest = hashlib.sha256((extractor.folder.path / "manifest.json").read_bytes()).hexdigest()
    return {
        "model": {"name": extractor.name, "manifest_sha256": manifest},
        "data": _data(result, rejected, args.data),
        "pictures": {status: result.pictures[status] for status in ("read", "none", "unreadable")},
        **(result.entity_record() if result.scored else {}),
        **({"relations": related.record()} if related.posts else {}),
        "seconds": round(seconds, 2),
    }


def _data(result: _Result, rejected: RejectLog, path: Path) -> dict[str, Any]:
    from twofold.corpora.releases import md5_of, note_on, release_of, resembles

    release = release_of(path)
    like = None if release else resembles(result.posts, result.tokens)
    gold = result.counts.lenient.scores().overall.gold
    return {
        "path": str(path),
        "md5": md5_of(path),
        "release": f"{release.title} {release.split}, {release.labels}" if release else None,
        "note": note_on(like, gold) if like else None,
        "posts": result.posts,
        "rejected": len(rejected),
        "unlabelled": result.unlabelled,
    }


def _scores(scores: SpanScores) -> dict[str, Any]:
    return {
        "overall": score_record(scores.overall),
        "types": {name: score_record(score) for name, score in scores.types.items()},
    }
