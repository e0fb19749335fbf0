"""``twofold calibrate``: fit a model's confidences, thresholds and sets on your own labelled posts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from twofold.cli.extract import add_model_options, load_model
from twofold.cli.outputs import RejectLog
from twofold.cli.progress import watch
from twofold.errors import DataError
from twofold.evaluation.trust import plain
from twofold.posts import Post, Rejected
from twofold.trust.conformal import SCORES
from twofold.trust.entities import METHODS, Measured
from twofold.trust.risk import RiskControl


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "calibrate",
        help="fit a model's confidences on your own labelled posts",
        description="Write a copy of a model whose confidences, thresholds (extract --max-error) and sets "
        "(extract --sets) are fitted on labelled posts: one half fits, the other tests. Some hundreds "
        "of posts do. The network stays as it is.",
        epilog="Exit codes: 0 all well; 1 some records were rejected and not used; 2 nothing was done.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model folder, or default")
    parser.add_argument(
        "data", metavar="DATA", type=Path, nargs="+", help="labelled posts in any known format"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="model folder to make")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--alt-text", type=Path, metavar="FILE", help="table of alternative texts")
    parser.add_argument(
        "--method",
        choices=list(METHODS),
        default="temperature",
        help="one temperature (default), one a type, or a temperature and an isotonic map after it",
    )
    parser.add_argument("--score", choices=list(SCORES), default="lac", help="score of the sets (lac)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the halves (0)")
    add_model_options(parser, model=False)


def run(args: argparse.Namespace) -> int:
    """Calibrate; the exit code is as the epilog says."""
    from twofold.trust.entities import calibrate_entities
    from twofold.trust.writing import write_calibrated

    extractor = load_model(args.model, args)
    with watch(None, bar=True) as progress:
        rejected = RejectLog(None, progress.tell)
        readings = []
        for reading in extractor.read(_labelled(args, rejected), batch_size=args.batch_size):
            readings.append(reading)
            progress.step(reading.post)
    calibration, measured = calibrate_entities(
        extractor.decoder, readings, method=METHODS[args.method], score=args.score, seed=args.seed
    )
    lines = list(_lines(measured, calibration.temperature))
    facts = {
        "method": args.method,
        "seed": args.seed,
        "fitted_on": [_named(path) for path in args.data],
        "measured": plain(measured),
    }
    told = f"On {', '.join(facts['fitted_on'])}, method `{args.method}`.\n\n" + "\n".join(
        f"- {line.strip()}" for line in lines
    )
    write_calibrated(extractor.folder, args.out, calibration, facts, told)
    print("\n".join(lines))
    print(f"model folder: {args.out}")
    return 1 if rejected else 0


def _labelled(args: argparse.Namespace, rejected: RejectLog) -> Iterator[Post]:
    from twofold.corpora import open_corpus

    for path in args.data:
        found = 0
        for item in open_corpus(path, images=args.images, alt_text=args.alt_text):
            if isinstance(item, Rejected):
                rejected.add(item)
            elif item.entities is not None:
                found += 1
                yield item
        if not found:
            raise DataError("no labelled post", where=str(path), expected="posts with gold entities")


def _named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _lines(measured: Measured, temperature: float) -> Iterator[str]:
    (first, second), (fitted, tested) = measured.posts, measured.predictions
    before, after = measured.before["ece"], measured.after["ece"]
    yield f"{first} posts to fit on, {second} to test on; {fitted} and {tested} entities found"
    yield f"temperature {temperature:.3f}"
    yield (
        f"calibration error {_percent(before)} before, {_percent(after)} after, "
        f"{_percent(measured.ece_by_chance)} of exact confidences by chance"
    )
    yield from _risks(measured.risks)
    for level, figures in measured.sets.items():
        yield (
            f"sets at {_percent(float(level))} %: hold the truth in {_percent(figures.coverage)} %, "
            f"{figures.size:.2f} answers on average, {_percent(figures.single)} % with one only"
        )


def _risks(risks: Sequence[RiskControl]) -> Iterator[str]:
    for risk in risks:
        start = f"at most {_percent(risk.error)} % wrong ({_percent(risk.confidence)} % sure): "
        if risk.threshold is not None:
            yield f"{start}keeps {_percent(risk.coverage)} %, of confidence {risk.threshold:.3f} or more"
        elif risk.instead is not None:
            error, coverage = _percent(risk.instead.error), _percent(risk.instead.coverage)
            yield f"{start}not on these data; {error} % is, keeping {coverage} %"
        else:
            yield f"{start}not on these data, nor is any other part"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
