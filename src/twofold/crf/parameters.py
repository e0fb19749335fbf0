"""Scores of a linear-chain CRF.

Shape letters: K tags.
"""

from __future__ import annotations

from typing import NamedTuple

from twofold.crf.batches import Floats


class CrfParameters(NamedTuple):
    """Scores of a CRF; −∞ where BIO forbids a transition or a first tag.

    Attributes:
        transitions: (K, K) from row to column.
        start: (K,) of the first tag.
        end: (K,) of the last tag.
    """

    transitions: Floats
    start: Floats
    end: Floats
