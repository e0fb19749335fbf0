"""The rules of an annotation convention as hard constraints: where they forbid an entity to begin.

The network learns the convention too, but without any guarantee. A mention is a ``@`` directly followed by a
word; a ``@`` before a space may mean "at". A hashtag is a ``#`` and the word after it.

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
"""A text without any of these has no mark; "/" is for ``u/name`` and ``r/place`` of other networks."""


def apply_rules(
    emissions: NDArray[np.float32],
    text: str,
    words: Sequence[Span],
    labels: Sequence[str],
    convention: Convention,
) -> NDArray[np.float32]:
    """Emissions (W, K) with `FORBIDDEN` for ``B-`` tags where no entity may begin.

    A copy, or the emissions themselves where an entity may begin anywhere.
    """
    starts = list(forbidden_starts(text, words, convention))
    if not starts:
        return emissions
    begin_tags = [tag for tag, label in enumerate(labels) if label.startswith("B-")]
    constrained = emissions.copy()
    constrained[np.ix_(starts, begin_tags)] = FORBIDDEN
    return constrained


def forbidden_starts(text: str, words: Sequence[Span], convention: Convention) -> Iterator[int]:
    """Indices of the words at which no entity may begin."""
    for i, rule in _marks(text, words):
        if rule == "mentions":
            yield i
            if convention.mentions == "none":
                yield i + 1
        else:
            if convention.hashtags != "mark":
                yield i
            if convention.hashtags != "name":
                yield i + 1


def rules_that_matter(text: str, words: Sequence[Span]) -> set[str]:
    """The rules of a convention that matter for a text: ``mentions``, ``hashtags``, both or none."""
    return {rule for _, rule in _marks(text, words)}


def _marks(text: str, words: Sequence[Span]) -> Iterator[tuple[int, str]]:
    """Index of the mark of each mention and hashtag, and the name of the rule for it."""
    if not _MARKS.intersection(text):
        return
    for i, (start, end) in enumerate(words[:-1]):
        mark, follows = surface(text[start:end]), words[i + 1][0]
        if mark == "@" and follows == end:
            yield i, "mentions"
        elif mark == "#":
            yield i, "hashtags"
