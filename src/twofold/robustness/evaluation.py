"""Predicts posts under every condition of their pictures, and collects the predictions.

All conditions of a post are predicted together, so that its text is encoded once, by the same pipeline as in
use. This module does not know metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.comparison import comparable
from twofold.evaluation.relations import NONE
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import PictureStatus, Post
from twofold.robustness.condition_results import (
    CORRUPT,
    MISSING,
    ORIGINAL,
    ConditionCollector,
    ConditionResults,
    Item,
)
from twofold.robustness.conditions import SampledPost, conditions, under_condition


class TaskResults(NamedTuple):
    """Predictions of entities, or of relations of gold pairs.

    Attributes:
        conditions: results by condition.
        same_as_missing: (N,) True where the predictions with a corrupt picture equal those with none.
    """

    conditions: dict[str, ConditionResults]
    same_as_missing: NDArray[np.bool_]


class ConditionPredictions(NamedTuple):
    """Predictions for one post under one condition; see `ConditionCollector.add`."""

    predicted: dict[Hashable, Item]
    same_items: Sequence[Item]
    status: PictureStatus


def equal_predictions(one: ConditionPredictions, other: ConditionPredictions) -> bool:
    """Whether two predictions are the same, with all numbers equal up to `ROUNDING`."""
    if one.predicted.keys() != other.predicted.keys() or len(one.same_items) != len(other.same_items):
        return False
    pairs = [
        *zip(one.same_items, other.same_items, strict=True),
        *((one.predicted[k], other.predicted[k]) for k in one.predicted),
    ]
    return all(
        len(a) == len(b) and all(map(_close, a, b)) for a, b in ((_numbers(a), _numbers(b)) for a, b in pairs)
    )


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=ROUNDING, abs_tol=ROUNDING)


def _numbers(item: Item) -> list[float]:
    """Every number of a prediction."""
    parts = [item.sources[name] for name in sorted(item.sources)]
    numbers = [value for part in parts for value in (part.share, part.aleatoric, part.epistemic)]
    if item.uncertainty is not None:
        numbers += [item.uncertainty.aleatoric, item.uncertainty.epistemic]
    return numbers if item.confidence is None else [item.confidence, *numbers]


ROUNDING = 1e-5
"""Tolerance for the position in a batch, which changes the order of float32 sums."""
Predictor = Callable[[Sequence[Sequence[Post]], int], list[list[ConditionPredictions]]]
"""Predicts posts, each under all conditions (the original picture first), given a batch size."""


def evaluate_conditions(
    pipeline: InferencePipeline,
    posts: Sequence[SampledPost],
    batch_size: int = 32,
    step: Callable[[int], None] = lambda done: None,
    types: Mapping[str, str] | None = None,
) -> dict[str, TaskResults]:
    """Predict posts under every condition.

    Args:
        pipeline: the model.
        posts: posts with gold entities, gold relations, or both.
        batch_size: posts whose conditions are predicted together.
        step: called with the number of posts done.
        types: new names of types of predicted entities, see `posts.with_types`.

    Returns:
        Results of ``entities`` and ``relations``, each if the model predicts them and posts have gold ones.
    """
    names = conditions([item.post for item in posts])
    tasks = {
        "entities": _Task(names, _entity_predictor(pipeline, types or {}), _gold_entities, strict=True),
        "relations": _Task(names, _relation_predictor(pipeline), _gold_relations, strict=False),
    }
    supported = {"entities": bool(pipeline.types), "relations": bool(pipeline.relations)}
    for begin in range(0, len(posts), batch_size):
        group = posts[begin : begin + batch_size]
        batch = [[under_condition(item, name) for name in names] for item in group]
        for name, task in tasks.items():
            labelled = [row for row in batch if supported[name] and getattr(row[0], name) is not None]
            task.add(labelled, batch_size)
        step(begin + len(group))
    return {name: task.results() for name, task in tasks.items() if task.posts}


class _Task:
    def __init__(
        self,
        names: Sequence[str],
        predictor: Predictor,
        gold: Callable[[Post], Mapping[Hashable, bool]],
        strict: bool,
    ) -> None:
        self._predictor, self._gold, self._strict = predictor, gold, strict
        self._collectors = {name: ConditionCollector() for name in names}
        self._same: list[bool] = []

    @property
    def posts(self) -> int:
        return len(self._same)

    def add(self, batch: Sequence[Sequence[Post]], batch_size: int) -> None:
        """Predict posts, each under all conditions."""
        if not batch:
            return
        for row, predictions in zip(batch, self._predictor(batch, batch_size), strict=True):
            by_name = dict(zip(self._collectors, predictions, strict=True))
            gold, original = self._gold(row[0]), by_name[ORIGINAL].predicted.keys()
            for name, one in by_name.items():
                self._collectors[name].add(gold, original, *one)
            self._same.append(equal_predictions(by_name[CORRUPT], by_name[MISSING]))

    def results(self) -> TaskResults:
        conditions = {name: collector.results(self._strict) for name, collector in self._collectors.items()}
        return TaskResults(conditions, np.array(self._same, bool))


def _entity_predictor(pipeline: InferencePipeline, types: Mapping[str, str]) -> Predictor:
    def predict(batch: Sequence[Sequence[Post]], batch_size: int) -> list[list[ConditionPredictions]]:
        per_post = len(batch[0])
        posts = [post for row in batch for post in row]
        encoded = list(pipeline.encode(posts, batch_size=batch_size * per_post))
        predicted = [extraction.entities for extraction in pipeline.decode(encoded)]
        original = [predicted[i - i % per_post] for i in range(len(posts))]
        same_items = pipeline.score_entities(encoded, original)
        predictions = [
            ConditionPredictions(
                {(e.start, e.end, e.type): e for e in comparable(item.post, here, types) if e},
                same,
                item.picture.status,
            )
            for here, same, item in zip(predicted, same_items, encoded, strict=True)
        ]
        return [predictions[i : i + per_post] for i in range(0, len(predictions), per_post)]

    return predict


def _relation_predictor(pipeline: InferencePipeline) -> Predictor:
    def predict(batch: Sequence[Sequence[Post]], batch_size: int) -> list[list[ConditionPredictions]]:
        per_post = len(batch[0])
        posts = [post for row in batch for post in row]
        predictions = []
        for row in pipeline.classify_gold_pairs(posts, batch_size=batch_size * per_post):
            found: dict[Hashable, Item] = {
                (i, pair.type): pair for i, pair in enumerate(row.relations) if pair.type != NONE
            }
            predictions.append(
                ConditionPredictions(found, row.relations, row.picture.status if row.picture else "none")
            )
        return [predictions[i : i + per_post] for i in range(0, len(predictions), per_post)]

    return predict


def _gold_entities(post: Post) -> Mapping[Hashable, bool]:
    gold: dict[Hashable, bool] = {}
    for entity in post.entities or ():
        key = (entity.start, entity.end, entity.type)
        gold[key] = gold.get(key, False) or entity.well_formed
    return gold


def _gold_relations(post: Post) -> Mapping[Hashable, bool]:
    return {(i, pair.type): True for i, pair in enumerate(post.relations or ()) if pair.type != NONE}
