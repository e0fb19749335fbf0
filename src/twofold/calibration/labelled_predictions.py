"""Labelled predictions: the interface of predicted spans and relations that calibration needs.

Shape letters: S predictions, C classes.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import Calibration

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

L = TypeVar("L", bound="LabelledPredictions")


class LabelledPredictions(Protocol):
    """S predictions with their labels."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes; some may never be predicted."""

    @property
    def predicted(self) -> Integers:
        """(S,) index of the predicted class."""

    @property
    def labels(self) -> Integers:
        """(S,) index of the true class."""

    @property
    def right(self) -> Flags:
        """(S,) True where the prediction is right."""

    @property
    def post(self) -> Integers:
        """(S,) index of the post."""

    @property
    def posts(self) -> int:
        """Number of posts, including those without predictions."""

    def select_posts(self: L, mask: Flags) -> L:
        """The predictions on the posts that ``mask`` (posts,) selects."""

    def of_class(self: L, number: int) -> L:
        """The predictions of one class, given its index."""

    def confidences(self, calibration: Calibration) -> Floats:
        """Calibrated confidence of each prediction, (S,)."""

    def probabilities(self, calibration: Calibration) -> Floats:
        """Probability of each class, (S, C); rows sum to 1. That of the predicted class is the confidence."""
