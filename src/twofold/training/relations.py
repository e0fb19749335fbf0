"""The task of relations in a training: a class for each marked pair of a post.

Every gold relation is an example of its own, in the window of its pair with head and tail marked
(`twofold.preprocessing.entity_markers`). The types that typed markers tell come from a tagger, in training as
in use: MNRE gives types only to pairs that stand in a relation, in the relation's very name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.fit import CalibrationFit, fit_relations
from twofold.calibration.temperature import TemperatureFit, fit_on_classes
from twofold.calibration.write import card_record
from twofold.config import DEFAULT_TAGGER, Config, RelationsConfig
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError, DataError
from twofold.evaluation.relations import RelationCounter, TypeMajorityBaseline
from twofold.heads.contract import Head
from twofold.inference.entities import PredictedEntities
from twofold.inference.relation_classifier import RelationClassifier
from twofold.inference.tagger import Tagger
from twofold.model_folder.config import NO_RELATION
from twofold.model_folder.folder import open_folder
from twofold.models.build import choose
from twofold.pipeline import default_folder
from twofold.posts import Post, Relation
from twofold.preprocessing.entity_markers import (
    Markers,
    PairPieces,
    PlainMarkers,
    TypedMarkers,
    UntypedMarkers,
)
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.segmentation import segment_post
from twofold.preprocessing.word_pieces import Pieces
from twofold.training.argument_order import ORDERS, both_ways
from twofold.training.dev_scores import Score, class_f1
from twofold.training.examples import Example, text_sources
from twofold.training.gold_pairs import gold_pairs, with_types
from twofold.training.loop import Tell
from twofold.training.metrics import (
    figures,
    open_uncalibrated,
    temperature_alone,
    write_calibration,
)
from twofold.training.picture_features import cache_folder
from twofold.training.relation_predictions import told
from twofold.training.task import Figures

MARKERS: Mapping[str, Markers] = {
    "typed": TypedMarkers(),
    "untyped": UntypedMarkers(),
    "plain": PlainMarkers(),
}
"""What may be put round head and tail."""
Floats = NDArray[np.float64]


class Relations:
    """See `Task`.

    Args:
        config: of the training. tell: gets lines of progress.

    Raises:
        ConfigError: markers that are not known, or typed ones without a tagger.
    """

    gold = "relations"
    score: Score = staticmethod(class_f1)

    def __init__(self, config: Config, tell: Tell) -> None:
        self.options: RelationsConfig = config.model.relations
        self.markers = choose(MARKERS, self.options.markers, "markers")
        self.orders = choose(ORDERS, self.options.argument_order, "argument_order")
        self.tell = tell
        self._own: dict[str, set[tuple[str, str]]] = {}
        if self.options.markers == "typed" and not self.options.tagger:
            raise ConfigError(
                "typed markers, but no tagger to tell the types",
                where="[model.relations]",
                expected="a tagger, or untyped or plain markers",
            )

    def prepare(self, posts: Sequence[Post]) -> list[Post]:
        """The posts with the tagger's types of arguments; without a tagger as they are."""
        for relation in _relations(posts):
            if relation.head.type and relation.tail.type:
                self._own.setdefault(relation.type, set()).add(_types(relation))
        name = self.options.tagger
        if not name:
            return list(posts)
        self.tell(f"types of arguments from the tagger {name}")
        folder = open_folder(default_folder() if name == DEFAULT_TAGGER else Path(name))
        cache = FeatureCache(cache_folder(), folder.picture_fingerprint)
        return list(with_types(posts, PredictedEntities(Tagger(folder, cache=cache))))

    def labels(self, posts: Sequence[Post]) -> list[str]:
        """``None`` first, then the relations of the posts in alphabetical order.

        Raises:
            DataError: there is no relation to learn.
        """
        seen = {relation.type for relation in _relations(posts)} - {NO_RELATION}
        if not seen:
            raise DataError(
                f"all pairs of the training files are {NO_RELATION!r}, or there are none",
                expected="pairs in relations, and pairs in none",
            )
        return [NO_RELATION, *sorted(seen)]

    def counts(self, posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
        """How often each label is learned from: pairs in both orders count as they are read."""
        seen = Counter(relation.type for relation in _relations(self.lessons(posts)))
        return [seen[label] for label in labels]

    def equip(self, text: TextEncoder) -> None:
        """Add the markers' own tokens."""
        text.add_tokens(self.markers.tokens)

    def examples(
        self,
        posts: Sequence[Post],
        rows: Sequence[Mapping[str, int]],
        pieces: Pieces,
        labels: Sequence[str],
    ) -> list[Example]:
        """Examples of all relations; see `pair_examples`."""
        return pair_examples(posts, rows, PairPieces(pieces, self.markers), labels)

    def lessons(self, posts: Sequence[Post]) -> list[Post]:
        """The posts with the pairs to learn from; see `twofold.training.argument_order`."""
        return self.orders(posts, self.options.symmetric)

    def describe(self, posts: Sequence[Post]) -> dict[str, Any]:
        """Markers, relations that hold both ways, and the types between which each relation was seen.

        The data's own types where it tells them (MNRE's names of relations do), else the tagger's, among
        whose mistakes nearly every pair of types comes up.
        """
        own = {name: [list(pair) for pair in sorted(pairs)] for name, pairs in self._own.items()}
        types = argument_types(posts)
        return {
            "argument_types": {name: own.get(name, types[name]) for name in types},
            "markers": self.markers.record(),
            "symmetric": sorted(set(self.options.symmetric) & set(types)),
        }

    def write_head(self, head: Head, folder: Path) -> None:
        """See `Task`; a softmax has nothing to write."""

    def measure(self, folder: Path, dev: Mapping[str, Sequence[Post]], train: Sequence[Post]) -> Figures:
        """See `Task`."""
        reader = RelationClassifier(open_uncalibrated(folder))
        read = {name: _read(reader, posts) for name, posts in dev.items()}
        fitted = self._fitted(reader, dev)
        write_calibration(folder, fitted)
        baselines = _baselines(train)
        found = {name: _score(part, reader.labels, baselines) for name, part in read.items()}
        for name, posts in dev.items():
            both = _read(reader, both_ways(posts, self.options.symmetric))
            found[name] = {**found[name], "model, pairs both ways": _model(both, reader.labels)}
        return {"dev": found, **card_record(fitted)}

    def _fitted(self, reader: RelationClassifier, dev: Mapping[str, Sequence[Post]]) -> CalibrationFit:
        """All, for relations as they are told in use; where dev is too small for halves, a temperature."""
        groups = {name: told(reader, posts, typed=bool(self.options.tagger)) for name, posts in dev.items()}
        try:
            return fit_relations(reader.labels, groups, symmetric=self.options.symmetric)
        except DataError as error:
            return temperature_alone(self._fit(reader, dev), dev, error.what)

    def _fit(self, reader: RelationClassifier, dev: Mapping[str, Sequence[Post]]) -> TemperatureFit | None:
        parts = [_read(reader, self.lessons(posts)) for posts in dev.values()]
        known = [reader.labels.index(x) if x in reader.labels else -1 for part in parts for x in part.gold]
        scores, none = np.concatenate([part.scores for part in parts]), reader.labels.index(NO_RELATION)
        if (scores.argmax(1) == none).all():
            return None
        return fit_on_classes(scores, np.array(known), none)

    def headlines(self, dev: Figures) -> Iterator[str]:
        """See `Task`."""
        for name, ways in dev.items():
            score, floor = ways["model"]["all"], ways["typed majority of relations"]["all"]
            yield (
                f"dev {name}: F1 without None {score['f1']:.2f}, accuracy {score['accuracy']:.2f} "
                f"(majority by types: {floor['f1']:.2f}, {floor['accuracy']:.2f})"
            )


def argument_types(posts: Sequence[Post]) -> dict[str, list[list[str]]]:
    """Types (head, tail) between which each relation but ``None`` was seen."""
    seen: dict[str, set[tuple[str, str]]] = {}
    for relation in _relations(posts):
        seen.setdefault(relation.type, set()).add((relation.head.type, relation.tail.type))
    return {name: [list(pair) for pair in sorted(seen[name])] for name in sorted(seen) if name != NO_RELATION}


def pair_examples(
    posts: Sequence[Post], rows: Sequence[Mapping[str, int]], pieces: PairPieces, labels: Sequence[str]
) -> list[Example]:
    """Examples of all relations; one whose arguments hold no word gives none.

    The target of a class that the labels do not know (a dev file may hold one) is −1: never right.
    """
    number = {label: i for i, label in enumerate(labels)}
    examples = []
    for place, post in enumerate(posts):
        words = segment_post(post)
        texts = text_sources(post, pieces.pieces)
        relations = zip(post.relations or (), gold_pairs(post, words), strict=True)
        usable = [(number.get(relation.type, -1), pair) for relation, pair in relations if pair]
        marked = pieces.windows(post.text, words, [pair for _, pair in usable])
        for (target, _), (window, slot, _) in zip(usable, marked, strict=True):
            examples.append(Example(place, window, [target], [slot], texts, rows[place]))
    return examples


def _relations(posts: Sequence[Post]) -> Iterator[Relation]:
    return (relation for post in posts for relation in post.relations or ())


# --- measuring ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """Gold pairs of a file and what the network says of them.

    Attributes:
        gold: relation of each. types: of its head and tail.
        scores: (n, K) emissions.
    """

    gold: list[str]
    types: list[tuple[str, str]]
    scores: Floats


def _read(reader: RelationClassifier, posts: Sequence[Post]) -> _Read:
    pairs = [list(gold_pairs(post, segment_post(post))) for post in posts]
    readable = [[pair for pair in row if pair] for row in pairs]
    readings = [reading for row in reader.encode(posts, readable) for reading in row]
    scores = np.full((sum(map(len, pairs)), len(reader.labels)), -np.inf)
    scores[:, reader.labels.index(NO_RELATION)] = 0  # stays where a pair cannot be read
    at = np.flatnonzero([pair is not None for row in pairs for pair in row])
    if readings:
        scores[at] = np.stack([reading.emissions for reading in readings])
    relations = list(_relations(posts))
    return _Read([r.type for r in relations], [_types(r) for r in relations], scores)


def _types(relation: Relation) -> tuple[str, str]:
    return relation.head.type, relation.tail.type


def _baselines(train: Sequence[Post]) -> dict[str, TypeMajorityBaseline]:
    seen = [(_types(relation), relation.type) for relation in _relations(train)]
    return {
        "typed majority": TypeMajorityBaseline(seen),
        "typed majority of relations": TypeMajorityBaseline(seen, ignore_none=True),
    }


def _score(read: _Read, labels: Sequence[str], baselines: Mapping[str, TypeMajorityBaseline]) -> Figures:
    """Figures of the model, and of the baselines beside it."""
    beside = {
        name: _figures(read.gold, [baseline.predict(types) for types in read.types])
        for name, baseline in baselines.items()
    }
    return {"model": _model(read, labels)} | {name: {"all": rows["all"]} for name, rows in beside.items()}


def _model(read: _Read, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    return _figures(read.gold, [labels[i] for i in read.scores.argmax(1)])


def _figures(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, dict[str, float]]:
    counter = RelationCounter()
    for pair in zip(gold, predicted, strict=True):
        counter.add(*pair)
    scores = counter.scores()
    overall = figures(scores.overall) | {"accuracy": round(100 * scores.accuracy, 2)}
    return {"all": overall} | {name: figures(row) for name, row in scores.relations.items()}
