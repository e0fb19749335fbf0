"""Counts of the predictions of a model in each post: all that tables and resampling need, without text.

A *metric* (lenient or strict span F1, micro F1 or accuracy of relations) has labels (entity types or
relations), and for each label there are the numbers of correct, predicted and gold items of every post. Posts
are named by a hash of their id.

Shapes: N posts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from twofold.evaluation.relations import NONE
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Extraction, Post

_INSTANCE = re.compile(r"#\d+\Z")
"""The part of an id of MNRE that differs between instances of one post."""
Counts = tuple[int, int, int]
CountsByMetric = Mapping[str, Mapping[str, Counts]]
"""Correct, predicted and gold of one post, by metric and label."""
METRICS = ("lenient", "strict", "micro", "accuracy")
"""Metrics in the order of tables; the first is compared with the baseline."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts of every post.

    Attributes:
        posts: N hashes of ids.
        counts: by metric and label, three lists of N counts: correct, predicted, gold.
    """

    posts: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, list[list[int]]]] = field(default_factory=dict)

    def add(self, name: str, counted: CountsByMetric) -> None:
        """Add the counts of one post, or of one instance of a post."""
        for metric, labels in counted.items():
            for label in labels:
                self.counts.setdefault(metric, {}).setdefault(
                    label, [[0] * len(self.posts) for _ in range(3)]
                )
        self.posts.append(hashed(name))
        for metric, columns in self.counts.items():
            for label, lists in columns.items():
                row = counted.get(metric, {}).get(label, (0, 0, 0))
                for values, value in zip(lists, row, strict=True):
                    values.append(value)


def hashed(name: str) -> str:
    """A hash of a post's id: two results can be matched by it, and no id is published."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def count_posts(task: str, pipeline: InferencePipeline, posts: Sequence[Post]) -> Outcomes:
    """Extract from labelled posts and count.

    Args:
        task: ``entities`` or ``relations``.
        pipeline: the loaded model.
        posts: with gold labels.
    """
    outcomes = Outcomes()
    for name, counted in _COUNTS[task](pipeline, posts):
        outcomes.add(name, counted)
    return outcomes


def _entities(pipeline: InferencePipeline, posts: Sequence[Post]) -> Iterator[tuple[str, CountsByMetric]]:
    for post, extraction in zip(posts, pipeline.extract(posts), strict=True):
        yield str(post.id), _spans(post, extraction)


def _spans(post: Post, extraction: Extraction) -> CountsByMetric:
    found = {(e.start, e.end, e.type) for e in extraction.entities}
    gold = {(e.start, e.end, e.type): e.well_formed for e in post.entities or ()}
    strict = {span for span, well_formed in gold.items() if well_formed}
    return {"lenient": _by_label(set(gold), found), "strict": _by_label(strict, found)}


def _by_label(
    gold: Iterable[tuple[int, int, str]], found: Iterable[tuple[int, int, str]]
) -> Mapping[str, Counts]:
    annotated, predicted = set(gold), set(found)
    labels = sorted({label for _, _, label in annotated | predicted})
    return {
        label: (
            sum(span[2] == label for span in annotated & predicted),
            sum(span[2] == label for span in predicted),
            sum(span[2] == label for span in annotated),
        )
        for label in labels
    }


def _relations(pipeline: InferencePipeline, posts: Sequence[Post]) -> Iterator[tuple[str, CountsByMetric]]:
    """A row per gold pair, named by its post: ``micro`` without the class ``None``, ``accuracy`` with it."""
    for post, found in zip(posts, pipeline.classify_gold_pairs(posts), strict=True):
        for gold, predicted in zip(post.relations or (), found.relations, strict=True):
            yield _INSTANCE.sub("", str(post.id)), _classes(gold.type, predicted.type)


def _classes(gold: str, predicted: str) -> CountsByMetric:
    correct = gold == predicted
    named = sorted({gold, predicted} - {NONE})
    micro = {label: (int(correct), int(label == predicted), int(label == gold)) for label in named}
    return {"micro": micro, "accuracy": {"pairs": (int(correct), 1, 1)}}


_COUNTS: dict[str, Callable[[InferencePipeline, Sequence[Post]], Iterator[tuple[str, CountsByMetric]]]] = {
    "entities": _entities,
    "relations": _relations,
}
"""The counts of each task."""
