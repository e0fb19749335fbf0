"""``twofold calibrate``: calibrate confidences, thresholds and prediction sets on labelled posts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twofold.calibration.conformal import SCORES
from twofold.calibration.decision_rule import DECODERS
from twofold.calibration.methods import METHODS
from twofold.calibration.relation_rule import DECISIONS
from twofold.cli.deprecated import add_old_name
from twofold.cli.model_options import (
    add_column_options,
    add_model_options,
    add_picture_options,
    check_model,
    load_model,
    posts_of,
)
from twofold.console.calibration import calibration_lines
from twofold.console.outputs import RejectLog
from twofold.console.progress import watch
from twofold.console.text import print_lines
from twofold.corpora.post_file import name_of
from twofold.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "calibrate",
        help="calibrate the confidences of a model on labelled posts",
        description="Write a copy of a model whose confidences, thresholds (for extract --max-error) and "
        "prediction sets (for extract --coverage) are calibrated on labelled posts. One half of the posts is "
        "used for the confidences, the other half for thresholds and sets; a few hundred posts suffice. "
        "Entities are calibrated on posts with gold entities, relations on posts with gold relations. The "
        "weights of the model do not change. If the model has annotation conventions, the copy uses the one "
        "that fits these posts best as its default, unless one is given here; a rule for mentions or "
        "hashtags changes only if the posts have any.",
        epilog="Exit codes: 0 success; 1 some records were rejected and not used; 2 nothing was done.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="model folder, or default for the model shipped with the package"
    )
    parser.add_argument(
        "data", metavar="DATA", type=Path, nargs="+", help="labelled posts in any format that Twofold reads"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="model folder to write"
    )
    parser.add_argument(
        "--name", help="name of the calibrated model in its outputs (default: the name of the folder)"
    )
    add_column_options(parser.add_argument_group("columns of the files"))
    add_picture_options(parser.add_argument_group("pictures"))
    add_old_name(parser, "--alt-text", "--alt-text-file")
    parser.add_argument(
        "--method",
        choices=list(METHODS),
        default="temperature",
        help="method for the confidences: temperature (one temperature), types (a temperature per type) or "
        "isotonic (a temperature followed by isotonic regression) (default: temperature)",
    )
    parser.add_argument(
        "--decode",
        choices=list(DECODERS),
        help="decoding of entities: viterbi (the most probable tag sequence) or f1 (the entities with the "
        "largest expected F1) (default: that of the model)",
    )
    parser.add_argument(
        "--decide",
        choices=list(DECISIONS),
        help="which relations are predicted: most-probable (the most probable class of each pair, which may "
        "be None) or f1 (relations above a threshold that maximises F1) (default: that of the model)",
    )
    add_old_name(parser, "--tell", "--decode", {"sequence": "viterbi"})
    parser.add_argument(
        "--conformal-score",
        choices=list(SCORES),
        default="lac",
        help="score of the conformal prediction sets (default: lac)",
    )
    add_old_name(parser, "--score", "--conformal-score")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of the split (default: 0)"
    )
    add_model_options(
        parser,
        model=False,
        no_relations="calibrate entities only; the copy keeps the relation model with its own calibration",
    )


def run(args: argparse.Namespace) -> int:
    """Calibrate; the exit code is as the epilog says."""
    from twofold.pipeline.calibrate import CalibrationOptions, calibrate, predicted_fields

    if args.relation_model is not None:
        raise ConfigError(
            "--relation-model names a second folder, but only one is written",
            do="combine the two first (twofold combine), or calibrate the relation model alone",
        )
    check_model(args.model)
    sets = dict(zip(_names(args.data), (posts_of(args, path) for path in args.data), strict=True))
    stated = args.convention or args.mentions or args.hashtags
    options = CalibrationOptions(
        method=args.method,
        decode=args.decode,
        decide=args.decide,
        score=args.conformal_score,
        seed=args.seed,
        convention="model" if stated else "fitting",
    )
    with watch(None, bar=True) as progress:
        extractor = load_model(args.model, args)
        rejected = RejectLog(None, progress.log)
        fits = calibrate(
            extractor,
            sets,
            args.output,
            name=args.name,
            options=options,
            batch_size=args.batch_size,
            rejected=rejected.add,
            listener=progress,
        )
    for what, fit in fits.items():
        print_lines([f"{what}:", *(f"  {line}" for line in calibration_lines(what, fit))])
    for what in predicted_fields(extractor.pipeline):
        if what not in fits:
            print_lines([f"{what}: calibration unchanged, since no post has gold {what}"])
    print_lines([f"model folder: {args.output}"])
    return 1 if rejected else 0


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of files on the card: folder and file, with a number if two would be equal."""
    names: list[str] = []
    for path in paths:
        name = name_of(path)
        again = sum(other.split(" (")[0] == name for other in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
