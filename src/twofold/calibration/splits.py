"""Held-out posts in two halves that share no post: one to fit on, one to test and measure on.

A post's half follows from its id and the seed alone (SHA-256), whatever other posts there are and in
whatever order; posts of one id, such as several with one picture, stay together. It does not know what
is fitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SEED = 0


def first_half(ids: Iterable[str | int], seed: int = SEED) -> NDArray[np.bool_]:
    """True for each post of the first half, about as many as of the second; 1 and "1" are one id."""
    return np.array([_bit(f"{seed}:{name}") for name in ids], bool)


def _bit(text: str) -> bool:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] < 128
