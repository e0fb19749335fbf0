"""Which regions of the picture each predicted entity looked at, by occlusion.

An exported graph gives no weights of its attention, so regions are taken away, a window of them at a time,
and the change of the confidence is what the window contributed (Zeiler & Fergus 2014). Nothing replaces what
is taken away: the fusion masks absent regions, as it masks absent pictures. It works for every model whose
picture is a square grid of regions. The text is encoded once.

Shape letters: S entities, G side of the grid of regions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.inference.modality_states import ModalityStates
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Entity, PictureReport, Post
from twofold.preprocessing.images import PictureSettings

Floats = NDArray[np.float64]
PICTURE = "picture"
METHOD = "occlusion"
REACH = 1
"""Regions beside the middle of a window, on each side: one region alone is seen by its neighbours, too."""
_CLIP = 1e-6


@dataclass(frozen=True, slots=True)
class PictureExplanation:
    """What each entity took from the picture.

    Attributes:
        entities: S, predicted.
        picture: what became of the picture.
        regions: (S, G, G) change of the log-odds of each entity's confidence by each window around a region:
            above 0 the window speaks for the entity, below 0 against it. None without a picture, or for a
            model that does not read regions.
        without_picture: (S,) confidence of these entities without the picture; None likewise.
    """

    entities: tuple[Entity, ...]
    picture: PictureReport
    regions: Floats | None = None
    without_picture: tuple[float, ...] | None = None


def explain(pipeline: InferencePipeline, post: Post, batch_size: int = 32) -> PictureExplanation:
    """Explain the entities predicted in a post.

    Args:
        pipeline: of a tagger.
        post: one post.
        batch_size: windows of text in a batch.

    Raises:
        ModelError: the pipeline has no tagger.
    """
    tagger = pipeline.tagger
    states = tagger.network.encode_modalities([post], batch_size)
    states = states if states.words is not None else states._replace(words={})  # the text is encoded once
    encoded = tagger.encoder.encode([post], batch_size, states)
    (entities,) = tagger.entities(encoded)
    grid = states.states.get(PICTURE, [None])[0]
    side = math.isqrt(len(grid)) if grid is not None else 0
    if grid is None or side * side != len(grid) or not entities:
        return PictureExplanation(entities, states.pictures[0])
    occluded: list[NDArray[np.floating] | None] = [np.delete(grid, w, axis=0) for w in windows(side)]
    variants = _with_pictures(states, [*occluded, None])
    posts = [post] * len(variants.pictures)
    scored = tagger.score_entities(
        tagger.encoder.encode(posts, batch_size, variants), [entities] * len(posts)
    )
    confidence = np.array([[entity.confidence for entity in row] for row in scored], np.float64)
    whole = _log_odds(np.array([entity.confidence for entity in entities], np.float64))
    change = whole[:, None] - _log_odds(confidence[:-1].T)  # (S, G²)
    return PictureExplanation(
        entities, states.pictures[0], change.reshape(-1, side, side), tuple(confidence[-1].tolist())
    )


def windows(side: int, reach: int = REACH) -> list[NDArray[np.intp]]:
    """For each region of a grid, row by row, the numbers of the regions around it.

    Args:
        side: G. reach: regions on each side of the middle; at the edge a window is smaller.
    """
    places = np.arange(side)
    near = np.abs(places[:, None] - places) <= reach  # (G, G)
    return [np.flatnonzero(near[row][:, None] & near[column]) for row in places for column in places]


def seen_area(width: int, height: int, settings: PictureSettings) -> tuple[float, float, float, float]:
    """The part of an upright picture that the grid covers: left, top, right, bottom as fractions.

    Args:
        width: of the picture, in any unit. height: likewise.
        settings: how the encoder's input is cut out of it.
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
