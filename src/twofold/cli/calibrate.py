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
from twofold.calibration.fit import DECODERS, Fitted
from twofold.calibration.methods import METHODS
from twofold.cli.model_options import add_allow_outside, add_model_options, load_model
from twofold.console.calibration import calibration_lines, decision_rule_lines, end_to_end_lines
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
        help="fit a model's confidences on your own labelled posts",
        description="Write a copy of a model whose confidences, thresholds (extract --max-error) and sets "
        "(extract --sets) are fitted on labelled posts: one half fits, the other tests. Some hundreds "
        "of posts do. Entities are fitted where DATA has gold entities, relations where it has gold "
        "relations; what DATA says nothing of stays as it is, and so does the network.",
        epilog="Exit codes: 0 all well; 1 some records were rejected and not used; 2 nothing was done.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model folder, or default")
    parser.add_argument(
        "data", metavar="DATA", type=Path, nargs="+", help="labelled posts in any known format"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="model folder to make")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--alt-text", type=Path, metavar="FILE", help="table of alternative texts")
    add_allow_outside(parser)
    parser.add_argument(
        "--method",
        choices=list(METHODS),
        default="temperature",
        help="one temperature (default), one a type, or a temperature and an isotonic map after it",
    )
    parser.add_argument(
        "--tell",
        choices=list(DECODERS),
        help="entities to tell from now on: those of the best tag sequence, or those with the largest F1 to "
        "be expected; without it, as the model does",
    )
    parser.add_argument("--score", choices=list(SCORES), default="lac", help="score of the sets (lac)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the halves (0)")
    add_model_options(parser, model=False)


def run(args: argparse.Namespace) -> int:
    """Calibrate; the exit code is as the epilog says."""
    from twofold.calibration.write import write_calibrated

    if args.relations is not None:
        raise ConfigError(
            "--relations names a second folder, and one is written",
            do="join the two first (twofold combine), or calibrate the relation model alone",
        )
    with reserved(args.out) as place, watch(None, bar=True) as progress:
        extractor = load_model(args.model, args)
        rejected = RejectLog(None, progress.tell)
        groups = dict(_labelled(args, extractor, rejected))
        fitted = dict(_fitted(args, extractor, groups, progress))
        write_calibrated(extractor.folder, place, fitted)
    for what, part in fitted.items():
        print(f"{what}:")
        print("\n".join(f"  {line}" for line in part.told))
    for what in _finds(extractor):
        if what not in fitted:
            print(f"{what}: as they were, since no post tells any")
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
            alt_text=args.alt_text,
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


def _fitted(
    args: argparse.Namespace, extractor: Extractor, groups: Mapping[str, list[Post]], progress: Progress
) -> Iterator[tuple[str, Fitted]]:
    """What was fitted, by what it was fitted for."""
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
) -> Fitted:
    from twofold.calibration.fit import fit_entities

    readings = {
        name: list(extractor.encode(_taken(posts, progress), batch_size=args.batch_size))
        for name, posts in groups.items()
    }
    fitted = fit_entities(
        extractor.tagger, readings, tell=args.tell, method=args.method, score=args.score, seed=args.seed
    )
    assert fitted.measured is not None
    told = list(calibration_lines("entities", fitted.measured, fitted.calibration.temperature))
    return fitted._replace(told=[*told, *decision_rule_lines(fitted.chosen)])


def _taken(posts: Iterable[Post], progress: Progress) -> Iterator[Post]:
    """The posts, counted as they are taken."""
    for post in posts:
        progress.step(post)
        yield post


def _relations(
    args: argparse.Namespace, extractor: Extractor, groups: Mapping[str, list[Post]], progress: Progress
) -> Fitted:
    """Relations as they are told between the ends of labelled pairs, whichever of these is the head."""
    from twofold.calibration.card_metrics import Told
    from twofold.calibration.fit import fit_relations

    def told(how: Callable[..., Iterator[Any]]) -> dict[str, Told]:
        return {
            name: Told(
                posts, [row.predictions for row in how(_taken(posts, progress), batch_size=args.batch_size)]
            )
            for name, posts in groups.items()
        }

    fitted = fit_relations(
        extractor.relation_folder.config.labels,
        told(extractor.extract_gold_pairs),
        found=told(extractor.extract_relations) if extractor.types else None,
        symmetric=extractor.symmetric,
        method=args.method,
        score=args.score,
        seed=args.seed,
    )
    assert fitted.measured is not None
    lines = list(calibration_lines("relations", fitted.measured, fitted.calibration.temperature))
    lines += end_to_end_lines(fitted.end_to_end) if fitted.end_to_end else ()
    return fitted._replace(told=lines)


def _names(paths: Sequence[Path]) -> list[str]:
    """What files are called on the card: folder and file, with a number where two would be the same."""
    names: list[str] = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
        again = sum(other.split(" (")[0] == name for other in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
