"""BIO tags: the transitions they allow, and the spans that tag sequences represent.

Shape letters: K tags, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class TagSpan(NamedTuple):
    """A labelled span of words.

    Attributes:
        start: first word.
        end: one past its last word.
        type: entity type.
    """

    start: int
    end: int
    type: str


class BioTags:
    """The K tags of a tagger.

    Args:
        labels: names of the tags: ``O``, ``B-X``, ``I-X``.

    Attributes:
        labels: as given.
        transitions: (K, K) True where the column's tag may follow the row's.
        first: (K,) True where a tag may come first.
        begin: index of ``B-X`` by type.
        inside: index of ``I-X`` by type; −1 where there is none.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.transitions, self.first = allowed_transitions(self.labels)
        types = [label[2:] for label in self.labels if label.startswith("B-")]
        self.begin = {kind: self.labels.index(f"B-{kind}") for kind in types}
        self.inside = {kind: _index(self.labels, f"I-{kind}") for kind in types}
        self._begins = {number: kind for kind, number in self.begin.items()}

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the labels."""
        return tuple(self.begin)

    def types_of_length(self, words: int) -> list[str]:
        """Types that a span of this many words can have; without an ``I-X`` only spans of one word."""
        return [kind for kind in self.types if words == 1 or self.inside[kind] >= 0]

    def spans_of(self, tags: NDArray[np.integer]) -> list[TagSpan]:
        """Spans of a valid tag sequence (W,); masked words (−1) belong to none."""
        spans: list[TagSpan] = []
        numbers = tags.tolist()
        for start, tag in enumerate(numbers):
            kind = self._begins.get(tag)
            if kind is None:
                continue
            inside, end = self.inside[kind], start + 1
            while inside >= 0 and end < len(numbers) and numbers[end] == inside:
                end += 1
            spans.append(TagSpan(start, end, kind))
        return spans

    def tags_of(self, span: TagSpan) -> Integers:
        """Tag indices of the words of a span."""
        tags = np.full(span.end - span.start, self.inside[span.type])
        tags[0] = self.begin[span.type]
        return tags


def allowed_transitions(labels: Sequence[str]) -> tuple[Mask, Mask]:
    """The constraints of BIO: ``I-X`` only after ``B-X`` or ``I-X``.

    Returns:
        (K, K) True where the column's tag may follow the row's; (K,) True where a tag may come first.
    """
    moves = [[not b.startswith("I-") or (a != "O" and a[2:] == b[2:]) for b in labels] for a in labels]
    return np.array(moves), np.array([not label.startswith("I-") for label in labels])


def _index(labels: Sequence[str], label: str) -> int:
    return labels.index(label) if label in labels else -1
