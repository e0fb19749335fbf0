"""Does a model detect out-of-domain posts? Compares its uncertainty on the evaluated posts and on others.

Posts are encoded again after scoring, since uncertainties of words are not part of an extraction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.calibration.post_uncertainty import MEASURES, post_uncertainty
from twofold.corpora.post_file import PostFile, path_of
from twofold.corpora.post_stream import Posts, parsed_posts
from twofold.corpora.releases import md5_of
from twofold.corpora.results import no_labels
from twofold.errors import ConfigError, DataError
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.comparison import comparable_extraction
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
from twofold.pipeline.listener import Listener
from twofold.posts import Post, Rejected, with_types
from twofold.synthetic.typos import RATE, with_typos

if TYPE_CHECKING:
    from twofold.pipeline.inference_pipeline import InferencePipeline

NEW_ENTITIES = "new-entities"
SHIFTS = ("typos", NEW_ENTITIES)
"""Shifts that are made from the evaluated posts themselves."""


@dataclass(frozen=True, slots=True)
class ShiftOptions:
    """What the evaluated posts are compared with.

    Attributes:
        other_domain: data sets of other domains, labelled or not; see `twofold.read_posts`.
        shifts: names in `SHIFTS`.
        training_data: labelled training posts, for the shift ``new-entities``.
        typo_rate: fraction of the longer words that get a typo, in (0, 1].

    Raises:
        ConfigError: a name or a rate is not valid, or ``new-entities`` and training data are not given
            together.
    """

    other_domain: Sequence[Posts] = ()
    shifts: Sequence[str] = ()
    training_data: Sequence[Posts] = ()
    typo_rate: float = RATE

    def __post_init__(self) -> None:
        if unknown := [name for name in self.shifts if name not in SHIFTS]:
            raise ConfigError(f"unknown shift {unknown[0]!r}", expected=" or ".join(SHIFTS))
        if (NEW_ENTITIES in self.shifts) != bool(self.training_data):
            raise ConfigError(
                "the shift new-entities and training data go together",
                do="give both, on the command line --shift new-entities and --training-data",
            )
        if not 0 < self.typo_rate <= 1:
            raise ConfigError(f"the typo rate is {self.typo_rate}", expected="a fraction above 0, at most 1")

    def __bool__(self) -> bool:
        return bool(self.other_domain or self.shifts)


@dataclass(frozen=True, slots=True)
class ShiftResult:
    """One comparison, and where the other posts came from.

    Attributes:
        shift: the metrics.
        facts: file, hash, typo rate and so on.
        rejected: number of records that are not valid posts.
    """

    shift: DomainShift
    facts: dict[str, Any]
    rejected: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        shown: dict[str, Any] = to_json(self.shift)
        return shown | {"from": self.facts}


class DomainShiftEvaluation:
    """Compares the evaluated posts with others.

    Args:
        pipeline: the model.
        batch_size: windows of text in a batch.
        rejected: called with each record that is not a valid post, except those of the evaluated data.
        listener: receives progress.
        types: new names of types of gold and predictions, see `posts.with_types`.
    """

    def __init__(
        self,
        pipeline: InferencePipeline,
        *,
        types: Mapping[str, str],
        batch_size: int,
        rejected: Callable[[Rejected], None],
        listener: Listener,
    ) -> None:
        self._pipeline, self._types, self._batch_size = pipeline, types, batch_size
        self._rejected, self._listener = rejected, listener

    def run(self, data: Posts, options: ShiftOptions) -> Iterator[ShiftResult]:
        """Run every comparison of ``options`` with the posts of ``data``.

        Raises:
            ConfigError: the model predicts no entities.
            DataError: a file holds no post.
        """
        if not options:
            return
        if not self._pipeline.types:
            raise ConfigError("domain shift is measured on entities", expected="a model that predicts them")
        in_domain = self._predict(self._labelled(data))
        for other in options.other_domain:
            yield self._other_domain(other, in_domain)
        for name in dict.fromkeys(options.shifts):
            yield _SHIFT_METHODS[name](self, data, options, in_domain)

    def _other_domain(self, data: Posts, in_domain: _Predicted) -> ShiftResult:
        valid = _ValidPosts(data, self._rejected)
        other, facts = self._predict(valid), _facts(data)
        if not other.posts:
            raise DataError("no post", where=path_of(data), expected="posts in a known format")
        measures = post_ood_detection(in_domain.uncertainty, other.uncertainty)
        shift = DomainShift(facts["name"], "posts", in_domain.metrics(), other.metrics(), measures)
        return ShiftResult(shift, facts, valid.rejected)

    def _typos(self, data: Posts, options: ShiftOptions, in_domain: _Predicted) -> ShiftResult:
        other = self._predict(with_typos(post, options.typo_rate) for post in self._labelled(data))
        measures = post_ood_detection(in_domain.uncertainty, other.uncertainty, resample=resample_pairs)
        name = f"typos in {100 * options.typo_rate:g} % of the longer words"
        shift = DomainShift(name, "posts", in_domain.metrics(), other.metrics(), measures)
        return ShiftResult(shift, {"rate": options.typo_rate, "seed": 0})

    def _new_entities(self, data: Posts, options: ShiftOptions, in_domain: _Predicted) -> ShiftResult:
        names = {name for part in options.training_data for name in self._names(part)}
        new = np.array([name not in names for name in in_domain.names], bool)
        facts = [_facts(part) for part in options.training_data]
        p = in_domain.predictions
        title = f"entities not named in {', '.join(fact['name'] for fact in facts)}"
        sides = _subset_metrics(p, ~new), _subset_metrics(p, new)
        shift = DomainShift(title, "entities", *sides, prediction_ood_detection(p, new))
        return ShiftResult(shift, {"seen": facts, "surfaces": len(names)})

    def _labelled(self, data: Posts) -> Iterator[Post]:
        """Evaluated posts with gold entities; rejected records were reported before."""
        return (post for post in _ValidPosts(data, _ignore) if post.entities is not None)

    def _names(self, data: Posts) -> set[str]:
        """Names of the gold entities of a data set, see `_name`."""
        posts = [post for post in _ValidPosts(data, self._rejected) if post.entities is not None]
        if not posts:
            raise no_labels(path_of(data), "posts with gold entities")
        return {_name(entity.text) for post in posts for entity in post.entities or ()}

    def _predict(self, posts: Iterable[Post]) -> _Predicted:
        pipeline = self._pipeline
        collector, rows, labels, names = PredictionCollector(), [], [], []
        for encoded in pipeline.encode(posts, batch_size=self._batch_size):
            (extraction,) = pipeline.decode([encoded])
            post = with_types(encoded.post, self._types)
            found, gold = comparable_extraction(post, extraction, self._types).entities, post.entities
            rows.append(post_uncertainty(pipeline.decoder, pipeline.folder.temperature, encoded, found))
            collector.add_entities(found, gold or ())
            names += [_name(entity.text) for entity in found]
            labels.append(gold is not None)
        self._listener.log(f"domain shift: {len(rows):,} posts encoded")
        values = {name: np.array([row[name] for row in rows], np.float64) for name in MEASURES}
        known = {name: x for name, x in values.items() if np.isfinite(x).any()}
        return _Predicted(len(rows), all(labels), known, collector.predictions(), names)


_SHIFT_METHODS: dict[str, Callable[[DomainShiftEvaluation, Posts, ShiftOptions, _Predicted], ShiftResult]] = {
    "typos": DomainShiftEvaluation._typos,
    "new-entities": DomainShiftEvaluation._new_entities,
}


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Predictions for some posts; ``names`` are those of the predicted entities, see `_name`."""

    posts: int
    labelled: bool
    uncertainty: dict[str, Floats]
    predictions: Predictions
    names: list[str]

    def metrics(self) -> DataMetrics:
        return data_metrics(self.predictions, self.posts, self.labelled)


class _ValidPosts:
    """Iterates over the valid posts of a data set; counts and reports the other records."""

    def __init__(self, items: Posts, rejected: Callable[[Rejected], None]) -> None:
        self._items, self._rejected = items, rejected
        self.rejected = 0

    def __iter__(self) -> Iterator[Post]:
        for item in parsed_posts(self._items):
            if isinstance(item, Post):
                yield item
            else:
                self.rejected += 1
                self._rejected(item)


def _subset_metrics(p: Predictions, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> DataMetrics:
    """Metrics of some predictions; without the missed gold entities, so F1 is nan."""
    nothing = np.zeros(0, np.int64)
    columns = (p.confidence[chosen], p.error_type[chosen], p.type[chosen], p.post[chosen])
    part = Predictions(*columns, p.posts, nothing.astype(str), nothing, {}, {})
    found = data_metrics(part, int(chosen.sum()), True)
    return DataMetrics(found.items, found.predicted, found.confidence, found.accuracy, np.nan, found.ece)


def _ignore(item: Rejected) -> None:
    """Do nothing."""


def _name(text: str) -> str:
    """A name with case and white space normalised."""
    return " ".join(text.split()).casefold()


def _facts(data: Posts) -> dict[str, Any]:
    if not isinstance(data, PostFile):
        return {"name": "posts", "path": None, "md5": None}
    return {"name": data.title, "path": str(data.path), "md5": md5_of(data.path)}
