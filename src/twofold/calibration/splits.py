"""Divides held-out posts into a tuning split and a calibration split that share no post.

Confidences (temperature, isotonic map), the decision rule and the order of thresholds are fitted on the
tuning split; thresholds are tested, conformal quantiles fitted and calibration measured on the calibration
split. The split of a post depends only on its id and the seed (SHA-256), not on other posts or their order;
posts with the same id are in the same split. This module does not know what is fitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SEED = 0


def in_tuning_split(ids: Iterable[str | int], seed: int = SEED) -> NDArray[np.bool_]:
    """True for each post of the tuning split, about half of all; 1 and "1" are the same id."""
    return np.array([_bit(f"{seed}:{name}") for name in ids], bool)


def _bit(text: str) -> bool:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] < 128
