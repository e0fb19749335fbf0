"""Which regions of the picture each predicted entity and relation depends on, by occlusion.

An exported graph does not output attention weights, so regions are removed, one window of them at a time, and
the change of the confidence is the contribution of the window (Zeiler & Fergus 2014). Removed regions are not
replaced: the fusion masks them, as it masks absent pictures. This works for every model whose picture is a
square grid of regions. The text is encoded once. Relations keep their entities: the contribution of a region
to finding an entity is part of the entity's explanation.

Shape letters: S predictions, G side of the grid of regions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twofold.inference.modality_states import ModalityStates
from twofold.inference.relation_extractor import PostEntities, RelationExtractor
from twofold.pipeline.inference_pipeline import InferencePipeline, used_picture
from twofold.posts import Entity, PictureReport, Post, Relation
from twofold.preprocessing.images import PictureSettings

Floats = NDArray[np.float64]
PICTURE = "picture"
METHOD = "occlusion"
REACH = 1
"""Regions on each side of the centre of a window: its neighbours also encode what a single region shows."""
_CLIP = 1e-6


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Contribution of the picture to some predictions.

    Attributes:
        regions: (S, G, G) change of the log-odds of each prediction's confidence by each window around a
            region: above 0 the window supports the prediction, below 0 it opposes it.
        without_picture: (S,) confidence of these predictions without the picture.
    """

    regions: Floats
    without_picture: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PictureExplanation:
    """Contribution of the picture to each entity and each relation of a post.

    Attributes:
        entities: predicted. relations: predicted between them.
        picture: whether the picture was read.
        of_entities: its contribution to the entities. None without a picture, without entities, or for a
            model that does not use regions.
        of_relations: the same for the relations.
    """

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]
    picture: PictureReport
    of_entities: Occlusion | None = None
    of_relations: Occlusion | None = None


def explain(pipeline: InferencePipeline, post: Post, batch_size: int = 32) -> PictureExplanation:
    """Explain the entities and relations predicted in a post.

    Args:
        pipeline: of a tagger, with a relation model or without.
        post: one post.
        batch_size: windows of text in a batch.

    Raises:
        ModelError: the pipeline has no tagger.
    """
    tagger = pipeline.tagger
    states = _keeping_words(tagger.network.encode_modalities([post], batch_size))
    (encoded,) = tagger.encoder.encode([post], batch_size, states)
    (entities,) = tagger.entities([encoded])

    def confidences(variants: ModalityStates) -> list[list[float | None]]:
        count = len(variants.pictures)
        encoded_posts = tagger.encoder.encode([post] * count, batch_size, variants)
        scored = tagger.score_entities(encoded_posts, [entities] * count)
        return [[entity.confidence for entity in row] for row in scored]

    of_entities = _occluded(states, [entity.confidence for entity in entities], confidences)
    found = PictureExplanation(entities, (), states.pictures[0], of_entities)
    if pipeline.relation_extractor is None or len(entities) < 2:
        return found
    known = PostEntities(post, encoded.words, entities)
    return _with_relations(found, pipeline.relation_extractor, known, states, batch_size)


def _with_relations(
    found: PictureExplanation,
    extractor: RelationExtractor,
    post: PostEntities,
    tagger_states: ModalityStates,
    batch_size: int,
) -> PictureExplanation:
    network = extractor.classifier.network
    reusable = network.reusable(tagger_states)
    states = _keeping_words(network.encode_modalities([post.post], batch_size, reusable))
    (extracted,) = extractor.extract([post], batch_size, states)
    relations = extracted.relations

    def confidences(variants: ModalityStates) -> list[list[float]]:
        count = len(variants.pictures)
        return extractor.confidences([post] * count, [relations] * count, batch_size, variants)

    return replace(
        found,
        relations=relations,
        picture=used_picture(found.picture, extracted.picture),
        of_relations=_occluded(states, [relation.confidence for relation in relations], confidences),
    )


def _occluded(
    states: ModalityStates,
    confidence: Sequence[float | None],
    confidences: Callable[[ModalityStates], Sequence[Sequence[float | None]]],
) -> Occlusion | None:
    """Contribution of the picture to S predictions.

    Args:
        states: of one post.
        confidence: of each prediction with the whole picture.
        confidences: computes those with each of several pictures.
    """
    grid = states.states.get(PICTURE, [None])[0]
    side = math.isqrt(len(grid)) if grid is not None else 0
    if grid is None or side * side != len(grid) or not confidence:
        return None
    pictures: list[NDArray[np.floating] | None] = [np.delete(grid, w, axis=0) for w in windows(side)]
    found = np.array(confidences(_with_pictures(states, [*pictures, None])), np.float64)  # (G² + 1, S)
    whole = _log_odds(np.array(confidence, np.float64))
    change = whole[:, None] - _log_odds(found[:-1].T)  # (S, G²)
    return Occlusion(change.reshape(-1, side, side), tuple(found[-1].tolist()))


def _keeping_words(states: ModalityStates) -> ModalityStates:
    """States that keep those of words, so that the text is encoded once."""
    return states if states.words is not None else states._replace(words={})


def windows(side: int, reach: int = REACH) -> list[NDArray[np.intp]]:
    """For each region of a grid, row by row, the indices of the regions around it.

    Args:
        side: G. reach: regions on each side of the centre; at the edge a window is smaller.
    """
    positions = np.arange(side)
    near = np.abs(positions[:, None] - positions) <= reach  # (G, G)
    return [np.flatnonzero(near[row][:, None] & near[column]) for row in positions for column in positions]


def seen_area(width: int, height: int, settings: PictureSettings) -> tuple[float, float, float, float]:
    """The part of an upright picture that the grid covers: left, top, right, bottom as fractions.

    Args:
        width: of the picture, in any unit. height: likewise.
        settings: how the encoder's input is cropped from it.
    """
    part = settings.crop / settings.resize
    if settings.fit == "squeeze":
        x, y = part, part
    else:
        x, y = (part * min(width, height) / length for length in (width, height))
    return (1 - x) / 2, (1 - y) / 2, (1 + x) / 2, (1 + y) / 2


def _with_pictures(states: ModalityStates, pictures: Sequence[NDArray[np.floating] | None]) -> ModalityStates:
    """The states of one post with each of these pictures in turn."""
    count = len(pictures)
    repeated = {name: [rows[0]] * count for name, rows in states.states.items()}
    return states._replace(pictures=[states.pictures[0]] * count, states=repeated | {PICTURE: list(pictures)})


def _log_odds(confidence: Floats) -> Floats:
    p = np.clip(confidence, _CLIP, 1 - _CLIP)
    return np.log(p) - np.log1p(-p)
