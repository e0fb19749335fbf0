"""The relation task of a training: a class for each marked pair of a post.

With levitated markers an example is a window of a post with all of its pairs, otherwise one text for each
pair, with head and tail marked (`twofold.preprocessing.entity_markers`). The types of arguments come from a
tagger, in training as at inference: MNRE gives types only to pairs in a relation, in the relation's name.
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
from twofold.config import LEVITATED, Config, RelationsConfig
from twofold.corpora.annotations import has_mark
from twofold.corpora.merge_posts import merge_posts_of_one_text
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
from twofold.models.pair_states import ENDS
from twofold.posts import Post, Relation
from twofold.preprocessing.entity_markers import (
    Markers,
    Pair,
    PairReader,
    PlainMarkers,
    TypedMarkers,
    UntypedMarkers,
    pair_reader,
)
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.segmentation import Span, segment_post
from twofold.preprocessing.word_pieces import WindowTokenizer
from twofold.training.argument_order import ARGUMENT_ORDERS, both_orders
from twofold.training.dev_scores import Score, class_f1
from twofold.training.examples import Example, text_modalities
from twofold.training.gold_pairs import gold_pairs, with_types
from twofold.training.loop import Log
from twofold.training.metrics import (
    open_uncalibrated,
    percentages,
    temperature_only,
    write_calibration,
)
from twofold.training.picture_features import cache_folder
from twofold.training.relation_predictions import predict_gold_pairs
from twofold.training.tagger_encoder import tagger_folder
from twofold.training.task import DevConventions, Metrics

MARKERS: Mapping[str, Markers | None] = {
    LEVITATED: None,
    "typed": TypedMarkers(),
    "untyped": UntypedMarkers(),
    "plain": PlainMarkers(),
}
"""Marker tokens around head and tail, by name; None for levitated markers, which are not tokens."""
Floats = NDArray[np.float64]


class RelationTask:
    """See `Task`.

    Args:
        config: of the training.
        log: called with lines of progress.

    Raises:
        ConfigError: unknown markers, or typed ones without a tagger.
    """

    gold = "relations"
    score: Score = staticmethod(class_f1)

    def __init__(self, config: Config, log: Log) -> None:
        self.options: RelationsConfig = config.model.relations
        self.markers = choose(MARKERS, self.options.markers, "markers")
        self.with_orders = choose(ARGUMENT_ORDERS, self.options.argument_order, "argument_order")
        self.log = log
        self._data_types: dict[str, set[tuple[str, str]]] = {}
        if self.options.markers == "typed" and not self.options.tagger:
            raise ConfigError(
                "typed markers, but no tagger that predicts the types",
                where="[model.relations]",
                expected="a tagger, or untyped or plain markers",
            )

    def prepare_posts(self, posts: Sequence[Post]) -> list[Post]:
        """The posts with argument types predicted by the tagger, or those of the data without a tagger; for
        levitated markers the posts of one text are merged."""
        if self.markers is None:
            posts = list(merge_posts_of_one_text(posts))
        for relation in _relations(posts):
            if relation.head.type and relation.tail.type:
                self._data_types.setdefault(relation.type, set()).add(_types(relation))
        name = self.options.tagger
        if not name:
            return list(posts)
        self.log(f"types of arguments from the tagger {name}")
        folder = open_folder(tagger_folder(name))
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
                expected="pairs in relations, and pairs in no relation",
            )
        return [NO_RELATION, *sorted(seen)]

    def counts(self, posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
        """See `Task`; a pair that is learned in both orders counts twice."""
        seen = Counter(relation.type for relation in _relations(self.training_instances(posts)))
        return [seen[label] for label in labels]

    def prepare_encoder(self, text: TextEncoder) -> None:
        """Add the marker tokens."""
        if self.markers is not None:
            text.add_tokens(self.markers.tokens)

    def examples(
        self,
        posts: Sequence[Post],
        rows: Sequence[Mapping[str, int]],
        tokenizer: WindowTokenizer,
        labels: Sequence[str],
    ) -> list[Example]:
        """Examples of all relations; see `pair_examples`."""
        return pair_examples(posts, rows, pair_reader(tokenizer, self.markers), labels)

    def training_instances(self, posts: Sequence[Post]) -> list[Post]:
        """The posts with the pairs to learn from; see `twofold.training.argument_order`."""
        return self.with_orders(posts, self.options.symmetric)

    def describe(self, posts: Sequence[Post]) -> dict[str, Any]:
        """Markers, symmetric relations, and the argument types of each relation.

        Types are those of the data where it has them (MNRE's names of relations do), else those of the
        tagger, whose errors produce nearly every pair of types.
        """
        own = {name: [list(pair) for pair in sorted(pairs)] for name, pairs in self._data_types.items()}
        types = argument_types(posts)
        return {
            "argument_types": {name: own.get(name, types[name]) for name in types},
            "markers": {"style": LEVITATED} if self.markers is None else self.markers.record(),
            "symmetric": sorted(set(self.options.symmetric) & set(types)),
        }

    def write_head(self, head: Head, folder: Path) -> None:
        """See `Task`; a softmax has nothing to write."""

    def measure(
        self,
        folder: Path,
        dev: Mapping[str, Sequence[Post]],
        train: Sequence[Post],
        conventions: DevConventions,
    ) -> Metrics:
        """See `Task`; a relation model has no conventions."""
        classifier = RelationClassifier(open_uncalibrated(folder))
        scored = {name: _pair_scores(classifier, posts) for name, posts in dev.items()}
        fitted = self._fit_calibration(classifier, dev)
        write_calibration(folder, fitted)
        baselines = _baselines(train)
        found = {name: _score(part, classifier.labels, baselines) for name, part in scored.items()}
        for name, posts in dev.items():
            both = _pair_scores(classifier, both_orders(posts, self.options.symmetric))
            found[name] = {**found[name], "model, pairs both ways": _model_metrics(both, classifier.labels)}
        return {"dev": found, **card_record(fitted)}

    def _fit_calibration(
        self, classifier: RelationClassifier, dev: Mapping[str, Sequence[Post]]
    ) -> CalibrationFit:
        """Full calibration, on relations extracted as at inference; or a temperature only, where dev is too
        small."""
        groups = {
            name: predict_gold_pairs(classifier, posts, typed=bool(self.options.tagger))
            for name, posts in dev.items()
        }
        try:
            return fit_relations(classifier.labels, groups, symmetric=self.options.symmetric)
        except DataError as error:
            return temperature_only(self._fit_temperature(classifier, dev), dev, error.what)

    def _fit_temperature(
        self, classifier: RelationClassifier, dev: Mapping[str, Sequence[Post]]
    ) -> TemperatureFit | None:
        parts = [_pair_scores(classifier, self.training_instances(posts)) for posts in dev.values()]
        known = [
            classifier.labels.index(x) if x in classifier.labels else -1 for part in parts for x in part.gold
        ]
        scores, none = np.concatenate([part.scores for part in parts]), classifier.labels.index(NO_RELATION)
        if (scores.argmax(1) == none).all():
            return None
        return fit_on_classes(scores, np.array(known), none)

    def headlines(self, dev: Metrics) -> Iterator[str]:
        """See `Task`."""
        for name, metrics in dev.items():
            score, baseline = metrics["model"]["all"], metrics["typed majority of relations"]["all"]
            yield (
                f"dev {name}: F1 without None {score['f1']:.2f}, accuracy {score['accuracy']:.2f} "
                f"(majority by types: {baseline['f1']:.2f}, {baseline['accuracy']:.2f})"
            )


def argument_types(posts: Sequence[Post]) -> dict[str, list[list[str]]]:
    """Argument types (head, tail) of each relation but ``None``."""
    seen: dict[str, set[tuple[str, str]]] = {}
    for relation in _relations(posts):
        seen.setdefault(relation.type, set()).add((relation.head.type, relation.tail.type))
    return {name: [list(pair) for pair in sorted(seen[name])] for name in sorted(seen) if name != NO_RELATION}


def pair_examples(
    posts: Sequence[Post], rows: Sequence[Mapping[str, int]], reader: PairReader, labels: Sequence[str]
) -> list[Example]:
    """Examples of all relations; one whose arguments hold no word gives none.

    A class that is not among the labels (possible in a dev file) has the target −1, which is never predicted.
    """
    class_of = {label: i for i, label in enumerate(labels)}
    examples = []
    for number, post in enumerate(posts):
        words = segment_post(post)
        texts = text_modalities(post, reader.tokenizer)
        relations = zip(post.relations or (), gold_pairs(post, words), strict=True)
        usable = [(class_of.get(relation.type, -1), pair) for relation, pair in relations if pair]
        for window, pairs, slots in reader.pair_windows(post.text, words, [pair for _, pair in usable]):
            targets = [usable[i][0] for i in pairs]
            example = Example(number, window, targets, slots, texts, rows[number])
            with_slots = [(usable[i][1], slot) for i, slot in zip(pairs, slots, strict=True)]
            examples.append(example._replace(arguments=_arguments(post.text, words, with_slots)))
    return examples


def _arguments(
    text: str, words: Sequence[Span], pairs: Sequence[tuple[Pair, tuple[int, ...]]]
) -> list[tuple[int, int, str]]:
    """Arguments of pairs as in `Example`, without those that `has_mark`; [] for markers in the text."""
    return [
        (first, last, argument.type)
        for pair, slot in pairs
        if len(slot) == ENDS
        for argument, (first, last) in zip(pair, (slot[:2], slot[2:]), strict=True)
        if not has_mark(text[words[argument.start][0] : words[argument.end - 1][1]])
    ]


def _relations(posts: Sequence[Post]) -> Iterator[Relation]:
    return (relation for post in posts for relation in post.relations or ())


# --- measuring ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PairScores:
    """Gold pairs of a file and their scores.

    Attributes:
        gold: relation of each pair.
        types: entity types of its head and tail.
        scores: (n, K) emissions.
    """

    gold: list[str]
    types: list[tuple[str, str]]
    scores: Floats


def _pair_scores(classifier: RelationClassifier, posts: Sequence[Post]) -> _PairScores:
    pairs = [list(gold_pairs(post, segment_post(post))) for post in posts]
    readable = [[pair for pair in row if pair] for row in pairs]
    encoded = [pair for row in classifier.encode(posts, readable) for pair in row]
    scores = np.full((sum(map(len, pairs)), len(classifier.labels)), -np.inf)
    scores[:, classifier.labels.index(NO_RELATION)] = 0  # kept where a pair has no words
    at = np.flatnonzero([pair is not None for row in pairs for pair in row])
    if encoded:
        scores[at] = np.stack([pair.emissions for pair in encoded])
    relations = list(_relations(posts))
    return _PairScores([r.type for r in relations], [_types(r) for r in relations], scores)


def _types(relation: Relation) -> tuple[str, str]:
    return relation.head.type, relation.tail.type


def _baselines(train: Sequence[Post]) -> dict[str, TypeMajorityBaseline]:
    seen = [(_types(relation), relation.type) for relation in _relations(train)]
    return {
        "typed majority": TypeMajorityBaseline(seen),
        "typed majority of relations": TypeMajorityBaseline(seen, ignore_none=True),
    }


def _score(
    scored: _PairScores, labels: Sequence[str], baselines: Mapping[str, TypeMajorityBaseline]
) -> Metrics:
    """Metrics of the model and of the baselines."""
    of_baselines = {
        name: _metrics(scored.gold, [baseline.predict(types) for types in scored.types])
        for name, baseline in baselines.items()
    }
    return {"model": _model_metrics(scored, labels)} | {
        name: {"all": rows["all"]} for name, rows in of_baselines.items()
    }


def _model_metrics(scored: _PairScores, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    return _metrics(scored.gold, [labels[i] for i in scored.scores.argmax(1)])


def _metrics(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, dict[str, float]]:
    counter = RelationCounter()
    for pair in zip(gold, predicted, strict=True):
        counter.add(*pair)
    scores = counter.scores()
    overall = percentages(scores.overall) | {"accuracy": round(100 * scores.accuracy, 2)}
    return {"all": overall} | {name: percentages(row) for name, row in scores.relations.items()}
