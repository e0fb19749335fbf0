"""What a model found in each post, as counts: all that tables and resampling need, and no text.

A *way* of counting (lenient, strict, …) has kinds (entity types, relations), and each kind counts correct,
predicted and gold of every post. Posts are named by a hash of their id.

Shapes: N posts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from twofold.evaluation.relations import NONE
from twofold.pipeline import Extractor
from twofold.posts import Extraction, Post

_INSTANCE = re.compile(r"#\d+\Z")
"""What tells instances of one post apart in ids of MNRE."""
Row = tuple[int, int, int]
Ways = Mapping[str, Mapping[str, Row]]
"""Correct, predicted and gold of one post, by way and kind."""
WAYS = ("lenient", "strict", "micro", "accuracy")
"""Ways of counting in the order of tables: what is compared with the baseline first."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts of every post.

    Attributes:
        posts: N hashes of ids.
        ways: by way and kind, lists of N: correct, predicted, gold.
    """

    posts: list[str] = field(default_factory=list)
    ways: dict[str, dict[str, list[list[int]]]] = field(default_factory=dict)

    def add(self, name: str, counted: Ways) -> None:
        """Take one post, or one instance of a post."""
        for way, kinds in counted.items():
            for kind in kinds:
                self.ways.setdefault(way, {}).setdefault(kind, [[0] * len(self.posts) for _ in range(3)])
        self.posts.append(hashed(name))
        for way, columns in self.ways.items():
            for kind, lists in columns.items():
                row = counted.get(way, {}).get(kind, (0, 0, 0))
                for values, value in zip(lists, row, strict=True):
                    values.append(value)


def hashed(name: str) -> str:
    """A post's id, not to be read but to be matched."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def count_posts(task: str, extractor: Extractor, posts: Sequence[Post]) -> Outcomes:
    """Extract from labelled posts and count.

    Args:
        task: ``entities`` or ``relations``.
        extractor: the model as anyone would load it.
        posts: with gold labels.
    """
    outcomes = Outcomes()
    for name, counted in _COUNTS[task](extractor, posts):
        outcomes.add(name, counted)
    return outcomes


def _entities(extractor: Extractor, posts: Sequence[Post]) -> Iterator[tuple[str, Ways]]:
    for post, extraction in zip(posts, extractor.extract(posts), strict=True):
        yield str(post.id), _spans(post, extraction)


def _spans(post: Post, extraction: Extraction) -> Ways:
    found = {(e.start, e.end, e.type) for e in extraction.entities}
    gold = {(e.start, e.end, e.type): e.well_formed for e in post.entities or ()}
    strict = {span for span, well_formed in gold.items() if well_formed}
    return {"lenient": _by_kind(set(gold), found), "strict": _by_kind(strict, found)}


def _by_kind(
    gold: Iterable[tuple[int, int, str]], found: Iterable[tuple[int, int, str]]
) -> Mapping[str, Row]:
    wanted, given = set(gold), set(found)
    kinds = sorted({kind for _, _, kind in wanted | given})
    return {
        kind: (
            sum(span[2] == kind for span in wanted & given),
            sum(span[2] == kind for span in given),
            sum(span[2] == kind for span in wanted),
        )
        for kind in kinds
    }


def _relations(extractor: Extractor, posts: Sequence[Post]) -> Iterator[tuple[str, Ways]]:
    """A row a gold pair, by its post's name: ``micro`` without the class ``None``, ``accuracy`` with it."""
    for post, found in zip(posts, extractor.classify_gold_pairs(posts), strict=True):
        for gold, taken in zip(post.relations or (), found.relations, strict=True):
            yield _INSTANCE.sub("", str(post.id)), _classes(gold.type, taken.type)


def _classes(gold: str, taken: str) -> Ways:
    right = gold == taken
    named = sorted({gold, taken} - {NONE})
    micro = {kind: (int(right), int(kind == taken), int(kind == gold)) for kind in named}
    return {"micro": micro, "accuracy": {"pairs": (int(right), 1, 1)}}


_COUNTS: dict[str, Callable[[Extractor, Sequence[Post]], Iterator[tuple[str, Ways]]]] = {
    "entities": _entities,
    "relations": _relations,
}
"""How each task is counted."""
