"""Foreign data for ``twofold evaluate --trust``: options, reading, and how well the model notices.

Data are read once more than for the scores: the words' doubt is not part of an extraction.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.calibration.post_uncertainty import NAMES, post_doubt
from twofold.console.outputs import RejectLog
from twofold.console.progress import Progress
from twofold.errors import ConfigError, DataError
from twofold.evaluation.domain_shift import (
    Floats,
    Shift,
    Side,
    drawn_together,
    separate_posts,
    separate_predictions,
    side,
)
from twofold.evaluation.predictions import PredictionCollector, Predictions
from twofold.evaluation.trust_report import plain
from twofold.posts import Post, Rejected
from twofold.synthetic.typos import RATE, mistyped

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

SHIFTS = ("typos", "unseen")


def add_shift_options(parser: argparse.ArgumentParser) -> None:
    """Which data are foreign."""
    group = parser.add_argument_group("foreign data (with --trust): does the model notice?")
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


def check_shift_options(args: argparse.Namespace) -> None:
    """Complain of what does not go together, before anything is read.

    Raises:
        ConfigError: an option lacks its fellow or is out of range.
    """
    if (args.against or args.shift) and not args.trust:
        raise ConfigError("--against and --shift are part of --trust", do="add --trust")
    if ("unseen" in args.shift) != bool(args.seen):
        raise ConfigError(
            "--shift unseen and --seen go together",
            do="give the training file as --seen, and --shift unseen",
        )
    if not 0 < args.typo_rate <= 1:
        raise ConfigError(f"--typo-rate is {args.typo_rate}", expected="a part above 0, at most 1")


@dataclass(frozen=True, slots=True)
class Foreign:
    """One comparison, and where the foreign data came from.

    Attributes:
        shift: the figures.
        facts: file and hash, rate, and the like.
        rejected: records that could not be read.
    """

    shift: Shift
    facts: dict[str, Any]
    rejected: int = 0

    def record(self) -> dict[str, Any]:
        """For a file."""
        shown: dict[str, Any] = plain(self.shift)
        return shown | {"from": self.facts}


def foreign_data(args: argparse.Namespace, extractor: Extractor, progress: Progress) -> Iterator[Foreign]:
    """Every comparison that was asked for; DATA is one's own.

    Raises:
        ConfigError: the model finds no entities.
        DataError: a file holds no post.
    """
    if not (args.against or args.shift):
        return
    if not extractor.types:
        raise ConfigError("--against and --shift look at entities", expected="a model that finds them")
    read = partial(_read, extractor, batch_size=args.batch_size, progress=progress)
    opened = partial(_open, args=args, progress=progress)
    own = read(post for post in opened(args.data)[0] if post.entities is not None)
    for path in args.against:
        yield _against(path, own, read, opened)
    for name in dict.fromkeys(args.shift):
        yield _BUILT_IN[name](args, own, read, opened)


# --- comparisons -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """What the model says of some posts."""

    posts: int
    labelled: bool
    doubt: dict[str, Floats]
    predictions: Predictions
    named: list[str]

    def side(self) -> Side:
        return side(self.predictions, self.posts, self.labelled)


_Reads = Callable[[Iterable[Post]], _Read]
_Opens = Callable[[Path], tuple[Iterator[Post], RejectLog]]


def _against(path: Path, own: _Read, read: _Reads, opened: _Opens) -> Foreign:
    posts, rejected = opened(path)
    foreign, facts = read(posts), _facts(path)
    if not foreign.posts:
        raise DataError("no post", where=str(path), expected="posts in a known format")
    told = separate_posts(own.doubt, foreign.doubt)
    return Foreign(Shift(facts["name"], "posts", own.side(), foreign.side(), told), facts, len(rejected))


def _typos(args: argparse.Namespace, own: _Read, read: _Reads, opened: _Opens) -> Foreign:
    posts = (mistyped(post, args.typo_rate) for post in opened(args.data)[0] if post.entities is not None)
    foreign, name = read(posts), f"typos in {100 * args.typo_rate:g} % of the longer words"
    told = separate_posts(own.doubt, foreign.doubt, drawn=drawn_together)
    return Foreign(
        Shift(name, "posts", own.side(), foreign.side(), told), {"rate": args.typo_rate, "seed": 0}
    )


def _unseen(args: argparse.Namespace, own: _Read, read: _Reads, opened: _Opens) -> Foreign:
    known = {surface for path in args.seen for surface in _surfaces(opened(path)[0], path)}
    foreign = np.array([surface not in known for surface in own.named], bool)
    facts = [_facts(path) for path in args.seen]
    told = separate_predictions(own.predictions, foreign)
    p = own.predictions
    seen, unseen = _part(p, ~foreign), _part(p, foreign)
    name = f"entities not named in {', '.join(fact['name'] for fact in facts)}"
    return Foreign(Shift(name, "entities", seen, unseen, told), {"seen": facts, "surfaces": len(known)})


_BUILT_IN = {"typos": _typos, "unseen": _unseen}


def _part(p: Predictions, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Side:
    """Of some predictions; what was missed has no part in it, so there is no F1."""
    nothing = np.zeros(0, np.int64)
    columns = (p.confidence[chosen], p.kind[chosen], p.type[chosen], p.post[chosen])
    told = side(Predictions(*columns, p.posts, nothing.astype(str), nothing, {}, {}), int(chosen.sum()), True)
    return Side(told.items, told.found, told.confidence, told.accuracy, np.nan, told.ece)


# --- reading -----------------------------------------------------------------------------------------


def _read(extractor: Extractor, posts: Iterable[Post], *, batch_size: int, progress: Progress) -> _Read:
    collector, rows, labels, named = PredictionCollector(), [], [], []
    for reading in extractor.read(posts, batch_size=batch_size):
        (extraction,) = extractor.decode([reading])
        found, gold = extraction.entities, reading.post.entities
        rows.append(post_doubt(extractor.decoder, extractor.folder.temperature, reading, found))
        collector.add(found, gold or ())
        named += [_surface(entity.text) for entity in found]
        labels.append(gold is not None)
    progress.tell(f"held against each other: {len(rows):,} posts more are read")
    doubt = {name: np.array([row[name] for row in rows], np.float64) for name in NAMES}
    known = {name: x for name, x in doubt.items() if np.isfinite(x).any()}
    return _Read(len(rows), all(labels), known, collector.predictions(), named)


def _open(path: Path, *, args: argparse.Namespace, progress: Progress) -> tuple[Iterator[Post], RejectLog]:
    from twofold.corpora import open_corpus

    told = path == args.data  # when it was read for the scores
    rejected = RejectLog(None, _nothing if told else progress.tell)
    return _accepted(open_corpus(path, images=args.images, alt_text=args.alt_text), rejected), rejected


def _nothing(message: str) -> None:
    """Say nothing."""


def _accepted(items: Iterable[Post | Rejected], rejected: RejectLog) -> Iterator[Post]:
    for item in items:
        if isinstance(item, Rejected):
            rejected.add(item)
        else:
            yield item


def _surfaces(posts: Iterable[Post], path: Path) -> set[str]:
    """Names of gold entities, see `_surface`."""
    labelled: Sequence[Post] = [post for post in posts if post.entities is not None]
    if not labelled:
        raise DataError("no labelled post", where=str(path), expected="posts with gold entities")
    return {_surface(entity.text) for post in labelled for entity in post.entities or ()}


def _surface(text: str) -> str:
    """A name without regard to case and the width of spaces."""
    return " ".join(text.split()).casefold()


def _facts(path: Path) -> dict[str, Any]:
    from twofold.corpora.releases import md5_of, release_of

    release = release_of(path)
    name = f"{release.title} {release.split}" if release else path.name
    return {"name": name, "path": str(path), "md5": md5_of(path)}
