"""The rules of an annotation convention, kept to the letter: where they forbid an entity to begin.

The network learns what a convention means, but no more surely than anything else. A mention is a ``@`` with a
word right behind it; after a space it may be "at". A hashtag is a ``#`` with the word behind it.

Shape letters: W words, K tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.conventions import Convention
from twofold.preprocessing.segmentation import Span, surface

FORBIDDEN = -1e4
"""Emission of a tag that a rule forbids, far below any other."""
_MARKS = frozenset("@#/")
"""Without one of these no word is a mark: other networks write ``u/name`` and ``r/place``."""


def under_rules(
    emissions: NDArray[np.float32],
    text: str,
    words: Sequence[Span],
    labels: Sequence[str],
    convention: Convention,
) -> NDArray[np.float32]:
    """Emissions (W, K) with `FORBIDDEN` for ``B-`` tags where no entity may begin.

    A copy, or the emissions themselves where an entity may begin anywhere.
    """
    places = list(no_beginnings(text, words, convention))
    if not places:
        return emissions
    begins = [tag for tag, label in enumerate(labels) if label.startswith("B-")]
    ruled = emissions.copy()
    ruled[np.ix_(places, begins)] = FORBIDDEN
    return ruled


def no_beginnings(text: str, words: Sequence[Span], convention: Convention) -> Iterator[int]:
    """Numbers of the words with which no entity may begin."""
    if not _MARKS.intersection(text):
        return
    for i, (start, end) in enumerate(words[:-1]):
        mark, follows = surface(text[start:end]), words[i + 1][0]
        if mark == "@" and follows == end:
            yield i
            if convention.mentions == "none":
                yield i + 1
        elif mark == "#":
            if convention.hashtags != "mark":
                yield i
            if convention.hashtags != "name":
                yield i + 1
