"""Sets of answers that hold the truth at a stated rate: split conformal prediction.

Of each item there are probabilities of C answers. A score says how badly an answer fits them; the
quantile of the true answers' scores on n held-out items is the line, and a set is every answer on the right
side of it. If held-out and new items are exchangeable, the set of a new item holds its truth with a
probability of at least the level, whatever the model (Vovk et al. 2005): on average over items
(marginal), or over the items of each true answer with a line for each (per class, Mondrian).

- LAC, least ambiguous sets (Sadinle, Lei & Wasserman 2019): score 1 − p. Smallest sets on average.
- RAPS (Angelopoulos et al. 2021): score Σ of the probabilities above the answer's, + penalty·max(0, rank −
  free). Larger sets for harder items. Without its random part (u = 1 throughout), so that a post has one
  result; any fixed score is valid.

Sets always hold the most probable answer, which can only add to the coverage. It does not know what
answers are; for entities they are the types and "not an entity with these borders".

Shape letters: S items, C answers, n held-out items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ConfigError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
Score = Callable[[Floats], Floats]
"""Scores (S, C) of probabilities (S, C); smaller fits better, and the most probable answer fits best."""

LEVELS = tuple(round(0.5 + i / 100, 2) for i in range(50))
"""Levels that lines are kept for."""
PENALTY, FREE = 0.01, 1
_SLACK = 1e-9  # equal scores differ by less between batches and machines, and must not part at a line


def lac(chances: Floats) -> Floats:
    """LAC scores (S, C)."""
    return 1 - chances


def raps(chances: Floats, penalty: float = PENALTY, free: int = FREE) -> Floats:
    """RAPS scores (S, C); among equal probabilities the earlier answer comes first.

    Args:
        chances: (S, C).
        penalty: added for each rank beyond ``free``.
        free: number of ranks that cost nothing.
    """
    order = np.argsort(-chances, axis=1, kind="stable")
    ordered = np.take_along_axis(chances, order, 1)
    above = np.cumsum(ordered, 1) - ordered
    ranks = np.arange(1, chances.shape[1] + 1)
    scores = np.empty_like(above)
    np.put_along_axis(scores, order, above + penalty * np.maximum(0, ranks - free), 1)
    return scores


SCORES: Mapping[str, Score] = {"lac": lac, "raps": raps}


@dataclass(frozen=True, slots=True)
class Lines:
    """Fitted lines.

    Attributes:
        score: name in `SCORES`.
        answers: the C answers.
        held_out: number of held-out items by true answer, (C,).
        marginal: (50,) a line for each of `LEVELS`; inf where there were too few items.
        per_class: (C, 50) the same for each true answer.
    """

    score: str
    answers: tuple[str, ...]
    held_out: tuple[int, ...]
    marginal: Floats
    per_class: Floats

    def sets(self, chances: Floats, level: float) -> Flags:
        """Sets (S, C), True for each answer that belongs, that hold the truth at this level on average.

        Args:
            chances: (S, C) probabilities of the answers.
            level: in [0.5, 0.99]; taken up to whole per cents.

        Raises:
            ConfigError: there are no lines for such a level.
        """
        return within(SCORES[self.score](chances), float(self.marginal[level_place(level)]))

    def sets_per_class(self, chances: Floats, level: float) -> Flags:
        """The same at this level for each true answer, which takes larger sets. Arguments as above."""
        return within(SCORES[self.score](chances), self.per_class[:, level_place(level)])


class SetFigures(NamedTuple):
    """What sets turned out to be.

    Attributes:
        coverage: part of the items whose set holds the truth.
        size: mean number of answers in a set. single: part of the sets that hold one answer only.
        by_answer: coverage by true answer; nan where it was never true.
    """

    coverage: float
    size: float
    single: float
    by_answer: tuple[float, ...]


def fit_lines(chances: Floats, truth: Integers, answers: Sequence[str], score: str) -> Lines:
    """Fit lines for all levels.

    Args:
        chances: (n, C) probabilities on held-out items.
        truth: (n,) number of the true answer.
        answers: names of the C answers.
        score: name in `SCORES`.
    """
    own = SCORES[score](chances)[np.arange(len(truth)), truth]
    each = [own[truth == c] for c in range(len(answers))]
    return Lines(
        score,
        tuple(answers),
        tuple(len(part) for part in each),
        np.array([line_at(own, level) for level in LEVELS]),
        np.array([[line_at(part, level) for level in LEVELS] for part in each]),
    )


def line_at(scores: Floats, level: float) -> float:
    """The ⌈(n + 1)·level⌉-th smallest of n scores of true answers; inf where n is too small for it."""
    place = math.ceil((len(scores) + 1) * level - 1e-9)
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else math.inf


def level_place(level: float) -> int:
    """Number of the smallest of `LEVELS` that is at least ``level``.

    Raises:
        ConfigError: there is none.
    """
    if not LEVELS[0] <= level <= LEVELS[-1]:
        raise ConfigError(f"sets at the level {level}", expected=f"a number from {LEVELS[0]} to {LEVELS[-1]}")
    return int(np.searchsorted(LEVELS, level - 1e-9))


def within(scores: Floats, line: Floats | float) -> Flags:
    """Answers (S, C) whose score is no larger than the line (or the line of the answer, (C,))."""
    held: Flags = scores <= line + _SLACK
    held[np.arange(len(scores)), scores.argmin(1)] = True
    return held


def set_figures(sets: Flags, truth: Integers) -> SetFigures:
    """Measure sets (S, C) against true answers (S,)."""
    if not len(sets):
        return SetFigures(math.nan, math.nan, math.nan, (math.nan,) * sets.shape[1])
    held, size = sets[np.arange(len(truth)), truth], sets.sum(1)
    each = [held[truth == c] for c in range(sets.shape[1])]
    by_answer = tuple(float(part.mean()) if len(part) else math.nan for part in each)
    return SetFigures(float(held.mean()), float(size.mean()), float((size == 1).mean()), by_answer)
