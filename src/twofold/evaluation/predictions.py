"""Predictions with their gold as arrays: what all metrics of calibration and uncertainty are computed from.

`collector` builds them from posts. This module does not know posts.

Shape letters: S predictions, G missed gold items, P posts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.error_types import RIGHT

Floats = NDArray[np.float64]
Names = NDArray[np.str_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Predictions:
    """S predictions on P posts, and the G gold items that were missed.

    Attributes:
        confidence: (S,) in [0, 1].
        error_type: (S,) ``right`` or an error type, see `error_types`.
        type: (S,) predicted type.
        post: (S,) index of the post.
        posts: P, including posts without predictions.
        missed_type: (G,) type of each missed gold item.
        missed_post: (G,) index of its post.
        uncertainty: (S,) by measure, larger for more uncertainty; nan where there is none.
        share: (S,) share of the evidence by modality; nan where the post does not have the modality.
        uncalibrated: (S,) confidence before calibration; None where it is not known for all.
    """

    confidence: Floats
    error_type: Names
    type: Names
    post: Integers
    posts: int
    missed_type: Names
    missed_post: Integers
    uncertainty: Mapping[str, Floats]
    share: Mapping[str, Floats]
    uncalibrated: Floats | None = None

    @property
    def right(self) -> NDArray[np.bool_]:
        """(S,) True where a prediction is right."""
        return np.asarray(self.error_type == RIGHT)

    @property
    def gold(self) -> int:
        """Number of gold items, found and missed."""
        return int(self.right.sum()) + len(self.missed_type)
