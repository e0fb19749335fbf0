"""``twofold calibrate``: fit a model's confidences, thresholds and sets on your own labelled posts.

Entities are fitted on the posts that carry entities, relations on those that carry relations, as far as the
model finds them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.calibration.conformal import SCORES
from twofold.calibration.decision_rule import DECODERS
from twofold.calibration.fit import CalibrationFit
from twofold.calibration.methods import METHODS
from twofold.cli.deprecated import add_old_name
from twofold.cli.model_options import add_model_options, add_picture_options, load_model
from twofold.console.calibration import calibration_lines
from twofold.console.outputs import RejectLog
from twofold.console.progress import Progress, watch
from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.errors import ConfigError, DataError
from twofold.model_folder.place import reserved
from twofold.posts import Post, Rejected

if TYPE_CHECKING:
    from twofold.pipeline import Extractor


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "calibrate",
        help="calibrate the confidences of a model on labelled posts",
        description="Write a copy of a model with confidences, thresholds (extract --max-error) and "
        "prediction sets (extract --coverage) calibrated on labelled posts: one half of the posts fits the "
        "confidences, the other half thresholds and sets. A few hundred posts suffice. Entities are "
        "calibrated on posts with gold entities, relations on posts with gold relations. The weights of "
        "the model do not change.",
        epilog="Exit codes: 0 success; 1 some records were rejected and not used; 2 nothing was done.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="model folder, or default for the model in the package"
    )
    parser.add_argument(
        "data", metavar="DATA", type=Path, nargs="+", help="labelled posts in any format that Twofold reads"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="model folder to write")
    parser.add_argument(
        "--name", help="name of the calibrated model in its outputs (default: the name of the folder)"
    )
    add_picture_options(parser.add_argument_group("pictures"))
    add_old_name(parser, "--alt-text", "--alt-text-file")
    parser.add_argument(
        "--method",
        choices=list(METHODS),
        default="temperature",
        help="one temperature (the default), a temperature for each type, or a temperature followed by "
        "isotonic regression",
    )
    parser.add_argument(
        "--decode",
        choices=list(DECODERS),
        help="decoding of entities: viterbi, the most probable tag sequence, or f1, the entities with the "
        "largest expected F1; without it, as the model decodes now",
    )
    add_old_name(parser, "--tell", "--decode", {"sequence": "viterbi"})
    parser.add_argument(
        "--conformal-score",
        choices=list(SCORES),
        default="lac",
        help="score that conformal prediction sets are built on (default: lac)",
    )
    add_old_name(parser, "--score", "--conformal-score")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of the split (default: 0)"
    )
    add_model_options(parser, model=False)


def run(args: argparse.Namespace) -> int:
    """Calibrate; the exit code is as the epilog says."""
    from twofold.calibration.write import write_calibrated_copy

    if args.relation_model is not None:
        raise ConfigError(
            "--relation-model names a second folder, and one is written",
            do="join the two first (twofold combine), or calibrate the relation model alone",
        )
    with reserved(args.out) as place, watch(None, bar=True) as progress:
        extractor = load_model(args.model, args)
        rejected = RejectLog(None, progress.log)
        groups = dict(_labelled(args, extractor, rejected))
        fits = dict(_fit(args, extractor, groups, progress))
        write_calibrated_copy(extractor.folder, place, fits, args.name or args.out.absolute().name)
    for what, fit in fits.items():
        print(f"{what}:")
        print("\n".join(f"  {line}" for line in calibration_lines(what, fit)))
    for what in _finds(extractor):
        if what not in fits:
            print(f"{what}: calibration unchanged, since no post has gold {what}")
    print(f"model folder: {args.out}")
    return 1 if rejected else 0


def _finds(extractor: Extractor) -> list[str]:
    """What the model finds, as the fields of a post are named."""
    knows = {"entities": extractor.types, "relations": extractor.relations}
    return [what for what, names in knows.items() if names]


def _labelled(
    args: argparse.Namespace, extractor: Extractor, rejected: RejectLog
) -> Iterator[tuple[str, list[Post]]]:
    """Of each file its name and its posts with gold of something that the model finds."""
    from twofold.corpora import open_corpus

    wanted = _finds(extractor)
    for name, path in zip(_names(args.data), args.data, strict=True):
        found = []
        for item in open_corpus(
            path,
            images=args.images,
            alt_text=args.alt_text_file,
            allow_outside=args.allow_outside,
            max_characters=args.max_characters,
        ):
            if isinstance(item, Rejected):
                rejected.add(item)
            elif any(getattr(item, what) is not None for what in wanted):
                found.append(item)
        if not found:
            expected = f"posts with gold {' or '.join(wanted)}"
            raise DataError("no labelled post", where=str(path), expected=expected)
        yield name, found


def _fit(
    args: argparse.Namespace, extractor: Extractor, groups: Mapping[str, list[Post]], progress: Progress
) -> Iterator[tuple[str, CalibrationFit]]:
    """Task and calibration of each task that can be fitted."""
    finds = _finds(extractor)
    tagged = {name: [p for p in posts if p.entities is not None] for name, posts in groups.items()}
    tagged = {name: posts for name, posts in tagged.items() if posts}
    related = {
        name: [p for p in merge_posts_of_one_text(posts) if p.relations is not None]
        for name, posts in groups.items()
    }
    related = {name: posts for name, posts in related.items() if posts}
    if tagged and "entities" in finds:
        yield "entities", _entities(args, extractor, tagged, progress)
    if related and "relations" in finds:
        yield "relations", _relations(args, extractor, related, progress)


def _entities(
    args: argparse.Namespace, extractor: Extractor, groups: Mapping[str, list[Post]], progress: Progress
) -> CalibrationFit:
    from twofold.calibration.fit import fit_entities

    encoded = {
        name: list(extractor.encode(_taken(posts, progress), batch_size=args.batch_size))
        for name, posts in groups.items()
    }
    return fit_entities(
        extractor.tagger,
        encoded,
        decode=args.decode,
        method=args.method,
        score=args.conformal_score,
        seed=args.seed,
    )


def _taken(posts: Iterable[Post], progress: Progress) -> Iterator[Post]:
    """The posts, counted as they are taken."""
    for post in posts:
        progress.step(post)
        yield post


def _relations(
    args: argparse.Namespace, extractor: Extractor, groups: Mapping[str, list[Post]], progress: Progress
) -> CalibrationFit:
    """Relations as they are predicted for gold pairs, of which it is not given which argument is the head."""
    from twofold.calibration.fit import fit_relations
    from twofold.calibration.relations import RelationPredictions

    def predicted(how: Callable[..., Iterator[Any]]) -> dict[str, RelationPredictions]:
        return {
            name: RelationPredictions(
                posts, [row.predictions for row in how(_taken(posts, progress), batch_size=args.batch_size)]
            )
            for name, posts in groups.items()
        }

    return fit_relations(
        extractor.relation_folder.config.labels,
        predicted(extractor.extract_gold_pairs),
        end_to_end=predicted(extractor.extract_relations) if extractor.types else None,
        symmetric=extractor.symmetric,
        method=args.method,
        score=args.conformal_score,
        seed=args.seed,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """What files are called on the card: folder and file, with a number where two would be the same."""
    names: list[str] = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
        again = sum(other.split(" (")[0] == name for other in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
