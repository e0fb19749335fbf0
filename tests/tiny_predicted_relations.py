"""Predicted relations of posts with one pair each, whose gold relation is drawn at a known temperature."""

from __future__ import annotations

import numpy as np

from twofold.calibration.relations import RelationPredictions
from twofold.inference.relation_classifier import ClassPrediction
from twofold.inference.relation_extractor import PredictedRelation
from twofold.posts import Entity, Post, Relation

LABELS = ("None", "member", "lives", "peer")


def end(start: int, stop: int | None = None) -> Entity:
    return Entity(start, stop or start + 1, "x", "PER")


def predicted_relation(head: Entity, tail: Entity, scores) -> PredictedRelation:
    scores = np.array(scores, float)
    number = int(scores.argmax())
    relation = Relation(head, tail, LABELS[number], 0.5)
    return PredictedRelation(relation, ClassPrediction(number, LABELS[number], 0.5, scores))


def drawn(count: int, seed: int, heat=2.0, masked=True):
    """Posts with one pair each, in the predicted order; its gold relation is drawn at a temperature."""
    random = np.random.default_rng(seed)
    posts, predicted, head, tail = [], [], end(0), end(2)
    for number in range(count):
        scores = 2.5 * random.standard_normal(4) + np.array([0.0, 0.5, 0.0, -1.0])
        if masked and number % 3 == 0:
            scores[2] = -np.inf
        weights = np.exp((scores - scores.max()) / heat)
        gold = LABELS[int((weights.cumsum() <= random.random() * weights.sum()).sum())]
        posts.append(Post(number, f"post {number}", relations=(Relation(head, tail, gold),)))
        predicted.append([predicted_relation(head, tail, scores)] if scores.argmax() else [])
    return RelationPredictions(posts, predicted)
