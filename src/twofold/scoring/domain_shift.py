"""Does a model notice out-of-domain posts? Its uncertainty on the evaluated posts and on others, compared.

Posts are encoded once more than for the scores: uncertainties of words are not part of an extraction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.calibration.post_uncertainty import MEASURES, post_uncertainty
from twofold.corpora.releases import md5_of, release_of
from twofold.errors import ConfigError, DataError
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.domain_shift import (
    DataMetrics,
    DomainShift,
    Floats,
    data_metrics,
    post_ood_detection,
    prediction_ood_detection,
    resample_pairs,
)
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import to_json
from twofold.posts import Post, Rejected
from twofold.scoring.listener import Listener
from twofold.synthetic.typos import RATE, with_typos

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

SHIFTS = ("typos", "new-entities")
"""Shifts that are made from the evaluated posts themselves."""


@dataclass(frozen=True, slots=True)
class ShiftOptions:
    """What the evaluated posts are compared with.

    Attributes:
        files: posts from elsewhere, labelled or not.
        shifts: names in `SHIFTS`.
        training_files: labelled posts of the training, for the shift ``new-entities``.
        typo_rate: fraction of the longer words that get a typo, in (0, 1].
    """

    files: Sequence[Path] = ()
    shifts: Sequence[str] = ()
    training_files: Sequence[Path] = ()
    typo_rate: float = RATE

    def __bool__(self) -> bool:
        return bool(self.files or self.shifts)


@dataclass(frozen=True, slots=True)
class ShiftResult:
    """One comparison, and where the other posts came from.

    Attributes:
        shift: the metrics.
        facts: file and hash, rate, and the like.
        rejected: records that could not be read.
    """

    shift: DomainShift
    facts: dict[str, Any]
    rejected: int = 0

    def record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        shown: dict[str, Any] = to_json(self.shift)
        return shown | {"from": self.facts}


class DomainShiftEvaluation:
    """Compares the evaluated posts with others.

    Args:
        extractor: the model.
        open_posts: gives the records of a file.
        batch_size: windows of text in a batch.
        rejected: takes each record that could not become a post, those of the evaluated file aside.
        listener: receives progress.
    """

    def __init__(
        self,
        extractor: Extractor,
        open_posts: Callable[[Path], Iterable[Post | Rejected]],
        *,
        batch_size: int,
        rejected: Callable[[Rejected], None],
        listener: Listener,
    ) -> None:
        self._extractor, self._open, self._batch_size = extractor, open_posts, batch_size
        self._rejected, self._listener = rejected, listener

    def run(self, data: Path, options: ShiftOptions) -> Iterator[ShiftResult]:
        """Every comparison of ``options`` with the posts of ``data``.

        Raises:
            ConfigError: the model finds no entities.
            DataError: a file holds no post.
        """
        if not options:
            return
        if not self._extractor.types:
            raise ConfigError("domain shift is measured on entities", expected="a model that finds them")
        own = self._predict(self._labelled(data))
        for path in options.files:
            yield self._other_file(path, own)
        for name in dict.fromkeys(options.shifts):
            yield _MADE[name](self, data, options, own)

    def _other_file(self, path: Path, own: _Predicted) -> ShiftResult:
        reader = _Reader(self._open(path), self._rejected)
        other, facts = self._predict(reader), _facts(path)
        if not other.posts:
            raise DataError("no post", where=str(path), expected="posts in a known format")
        measures = post_ood_detection(own.uncertainty, other.uncertainty)
        shift = DomainShift(facts["name"], "posts", own.metrics(), other.metrics(), measures)
        return ShiftResult(shift, facts, reader.rejected)

    def _typos(self, data: Path, options: ShiftOptions, own: _Predicted) -> ShiftResult:
        other = self._predict(with_typos(post, options.typo_rate) for post in self._labelled(data))
        measures = post_ood_detection(own.uncertainty, other.uncertainty, resample=resample_pairs)
        name = f"typos in {100 * options.typo_rate:g} % of the longer words"
        shift = DomainShift(name, "posts", own.metrics(), other.metrics(), measures)
        return ShiftResult(shift, {"rate": options.typo_rate, "seed": 0})

    def _new_entities(self, data: Path, options: ShiftOptions, own: _Predicted) -> ShiftResult:
        names = {name for path in options.training_files for name in self._names(path)}
        new = np.array([name not in names for name in own.names], bool)
        facts = [_facts(path) for path in options.training_files]
        p = own.predictions
        title = f"entities not named in {', '.join(fact['name'] for fact in facts)}"
        sides = _part(p, ~new), _part(p, new)
        shift = DomainShift(title, "entities", *sides, prediction_ood_detection(p, new))
        return ShiftResult(shift, {"seen": facts, "surfaces": len(names)})

    def _labelled(self, path: Path) -> Iterator[Post]:
        """Posts with gold entities of the evaluated file, whose rejected records were named before."""
        return (post for post in _Reader(self._open(path), _ignore) if post.entities is not None)

    def _names(self, path: Path) -> set[str]:
        """Names of the gold entities of a file, see `_name`."""
        posts = [post for post in _Reader(self._open(path), self._rejected) if post.entities is not None]
        if not posts:
            raise DataError("no labelled post", where=str(path), expected="posts with gold entities")
        return {_name(entity.text) for post in posts for entity in post.entities or ()}

    def _predict(self, posts: Iterable[Post]) -> _Predicted:
        extractor = self._extractor
        collector, rows, labels, names = PredictionCollector(), [], [], []
        for reading in extractor.encode(posts, batch_size=self._batch_size):
            (extraction,) = extractor.decode([reading])
            found, gold = extraction.entities, reading.post.entities
            rows.append(post_uncertainty(extractor.decoder, extractor.folder.temperature, reading, found))
            collector.add_entities(found, gold or ())
            names += [_name(entity.text) for entity in found]
            labels.append(gold is not None)
        self._listener.log(f"domain shift: {len(rows):,} posts encoded")
        values = {name: np.array([row[name] for row in rows], np.float64) for name in MEASURES}
        known = {name: x for name, x in values.items() if np.isfinite(x).any()}
        return _Predicted(len(rows), all(labels), known, collector.predictions(), names)


_MADE: dict[str, Callable[[DomainShiftEvaluation, Path, ShiftOptions, _Predicted], ShiftResult]] = {
    "typos": DomainShiftEvaluation._typos,
    "new-entities": DomainShiftEvaluation._new_entities,
}


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What the model predicts for some posts; ``names`` are those of its entities, see `_name`."""

    posts: int
    labelled: bool
    uncertainty: dict[str, Floats]
    predictions: Predictions
    names: list[str]

    def metrics(self) -> DataMetrics:
        return data_metrics(self.predictions, self.posts, self.labelled)


class _Reader:
    """The posts among some records; counts the others."""

    def __init__(self, items: Iterable[Post | Rejected], rejected: Callable[[Rejected], None]) -> None:
        self._items, self._rejected = items, rejected
        self.rejected = 0

    def __iter__(self) -> Iterator[Post]:
        for item in self._items:
            if isinstance(item, Post):
                yield item
            else:
                self.rejected += 1
                self._rejected(item)


def _part(p: Predictions, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> DataMetrics:
    """Of some predictions; what was missed has no part in it, so there is no F1."""
    nothing = np.zeros(0, np.int64)
    columns = (p.confidence[chosen], p.error_type[chosen], p.type[chosen], p.post[chosen])
    part = Predictions(*columns, p.posts, nothing.astype(str), nothing, {}, {})
    found = data_metrics(part, int(chosen.sum()), True)
    return DataMetrics(found.items, found.predicted, found.confidence, found.accuracy, np.nan, found.ece)


def _ignore(item: Rejected) -> None:
    """Do nothing."""


def _name(text: str) -> str:
    """A name without regard to case and the width of spaces."""
    return " ".join(text.split()).casefold()


def _facts(path: Path) -> dict[str, Any]:
    release = release_of(path)
    name = f"{release.title} {release.split}" if release else path.name
    return {"name": name, "path": str(path), "md5": md5_of(path)}
