"""Reads posts under every condition and compares what is said of them.

All conditions of a post are read together, so that a text is encoded once for all of them, on the path that
all use of a model goes through. It does not know figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.relations import NONE
from twofold.pipeline import Extractor
from twofold.posts import PictureStatus, Post
from twofold.robustness.condition_results import Item, Stand, StandCollector
from twofold.robustness.conditions import CORRUPT, MISSING, OWN, Witness, conditions, placed


class Testimony(NamedTuple):
    """What was said of entities, or of relations between given pairs.

    Attributes:
        stands: by condition.
        alike: (N,) True where the same was said with a corrupt picture as with none, see `alike`.
    """

    stands: dict[str, Stand]
    alike: NDArray[np.bool_]


class Said(NamedTuple):
    """Of one post under one condition; see `StandCollector.add`."""

    found: dict[Hashable, Item]
    asked: Sequence[Item]
    status: PictureStatus


def alike(one: Said, other: Said) -> bool:
    """Whether the same was found and every number is the same but for `ROUNDING`."""
    if one.found.keys() != other.found.keys() or len(one.asked) != len(other.asked):
        return False
    pairs = [*zip(one.asked, other.asked, strict=True), *((one.found[k], other.found[k]) for k in one.found)]
    return all(
        len(a) == len(b) and all(map(_close, a, b)) for a, b in ((_numbers(a), _numbers(b)) for a, b in pairs)
    )


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=ROUNDING, abs_tol=ROUNDING)


def _numbers(item: Item) -> list[float]:
    """All that is told of a prediction."""
    parts = [item.sources[name] for name in sorted(item.sources)]
    numbers = [value for part in parts for value in (part.share, part.aleatoric, part.epistemic)]
    if item.uncertainty is not None:
        numbers += [item.uncertainty.aleatoric, item.uncertainty.epistemic]
    return numbers if item.confidence is None else [item.confidence, *numbers]


ROUNDING = 1e-5
"""What the place in a batch may change: sums of float32 are taken in another order there."""
Speaker = Callable[[Sequence[Sequence[Post]], int], list[list[Said]]]
"""From posts, each under all conditions (its own picture first), and a batch size to what is said of them."""


def examine(
    extractor: Extractor,
    witnesses: Sequence[Witness],
    batch_size: int = 32,
    step: Callable[[int], None] = lambda done: None,
) -> dict[str, Testimony]:
    """Examine a model.

    Args:
        extractor: the model.
        witnesses: posts with gold entities, gold relations, or both.
        batch_size: posts whose conditions are read together.
        step: is told how many posts are done.

    Returns:
        ``entities`` and ``relations``, as far as the model finds them and there are posts with gold ones.
    """
    names = conditions([witness.post for witness in witnesses])
    tasks = {
        "entities": _Task(names, _entities_of(extractor), _gold_entities, strict=True),
        "relations": _Task(names, _relations_of(extractor), _gold_relations, strict=False),
    }
    wanted = {"entities": bool(extractor.types), "relations": bool(extractor.relations)}
    for begin in range(0, len(witnesses), batch_size):
        group = witnesses[begin : begin + batch_size]
        bench = [[placed(witness, name) for name in names] for witness in group]
        for name, task in tasks.items():
            task.hear(
                [row for row in bench if wanted[name] and getattr(row[0], name) is not None], batch_size
            )
        step(begin + len(group))
    return {name: task.testimony() for name, task in tasks.items() if task.posts}


class _Task:
    def __init__(
        self,
        names: Sequence[str],
        speaker: Speaker,
        gold: Callable[[Post], Mapping[Hashable, bool]],
        strict: bool,
    ) -> None:
        self._speaker, self._gold, self._strict = speaker, gold, strict
        self._collectors = {name: StandCollector() for name in names}
        self._alike: list[bool] = []

    @property
    def posts(self) -> int:
        return len(self._alike)

    def hear(self, bench: Sequence[Sequence[Post]], batch_size: int) -> None:
        """Take in posts, each under all conditions."""
        if not bench:
            return
        for row, said in zip(bench, self._speaker(bench, batch_size), strict=True):
            by_name = dict(zip(self._collectors, said, strict=True))
            gold, own = self._gold(row[0]), by_name[OWN].found.keys()
            for name, one in by_name.items():
                self._collectors[name].add(gold, own, *one)
            self._alike.append(alike(by_name[CORRUPT], by_name[MISSING]))

    def testimony(self) -> Testimony:
        stands = {name: collector.stand(self._strict) for name, collector in self._collectors.items()}
        return Testimony(stands, np.array(self._alike, bool))


def _entities_of(extractor: Extractor) -> Speaker:
    def speak(bench: Sequence[Sequence[Post]], batch_size: int) -> list[list[Said]]:
        width = len(bench[0])
        posts = [post for row in bench for post in row]
        readings = list(extractor.encode(posts, batch_size=batch_size * width))
        found = [extraction.entities for extraction in extractor.decode(readings)]
        own = [found[i - i % width] for i in range(len(posts))]
        asked = extractor.score_entities(readings, own)
        said = [
            Said({(e.start, e.end, e.type): e for e in here}, same, reading.picture.status)
            for here, same, reading in zip(found, asked, readings, strict=True)
        ]
        return [said[i : i + width] for i in range(0, len(said), width)]

    return speak


def _relations_of(extractor: Extractor) -> Speaker:
    def speak(bench: Sequence[Sequence[Post]], batch_size: int) -> list[list[Said]]:
        width = len(bench[0])
        posts = [post for row in bench for post in row]
        said = []
        for row in extractor.classify_gold_pairs(posts, batch_size=batch_size * width):
            found: dict[Hashable, Item] = {
                (i, pair.type): pair for i, pair in enumerate(row.relations) if pair.type != NONE
            }
            said.append(Said(found, row.relations, row.picture.status if row.picture else "none"))
        return [said[i : i + width] for i in range(0, len(said), width)]

    return speak


def _gold_entities(post: Post) -> Mapping[Hashable, bool]:
    gold: dict[Hashable, bool] = {}
    for entity in post.entities or ():
        key = (entity.start, entity.end, entity.type)
        gold[key] = gold.get(key, False) or entity.well_formed
    return gold


def _gold_relations(post: Post) -> Mapping[Hashable, bool]:
    return {(i, pair.type): True for i, pair in enumerate(post.relations or ()) if pair.type != NONE}
