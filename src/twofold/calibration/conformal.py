"""Prediction sets that cover the true class at a stated rate: split conformal prediction.

Every item has probabilities of C classes. A nonconformity score measures how badly a class fits them. A
quantile of the true classes' scores on n held-out items is the limit: a prediction set holds every class
whose score is no larger. If held-out and new items are exchangeable, the set of a new item covers its true
class with a probability of at least the coverage, for any model (Vovk et al. 2005): on average over items
(marginal), or over the items of each true class with a quantile for each (class-conditional, Mondrian).

- LAC, least ambiguous sets (Sadinle, Lei & Wasserman 2019): score 1 − p. Smallest sets on average.
- RAPS (Angelopoulos et al. 2021): score Σ of the probabilities above that of the class, + penalty·max(0,
  rank − free ranks). Larger sets for harder items. The randomisation is left out (u = 1 throughout), so that
  results are deterministic; any fixed score is valid.

Sets always hold the most probable class, which can only raise the coverage. This module does not know what
the classes are; for entities they are the types and "no entity with these boundaries".

Shape letters: S items, C classes, n held-out items.
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
"""Nonconformity scores (S, C) of probabilities (S, C); smallest for the most probable class."""

COVERAGES = tuple(round(0.5 + i / 100, 2) for i in range(50))
"""Coverages that quantiles are stored for."""
PENALTY, FREE_RANKS = 0.01, 1
_SLACK = 1e-9  # equal scores differ by less than this between batches and machines


def lac(probabilities: Floats) -> Floats:
    """LAC scores (S, C)."""
    return 1 - probabilities


def raps(probabilities: Floats, penalty: float = PENALTY, free_ranks: int = FREE_RANKS) -> Floats:
    """RAPS scores (S, C); among equal probabilities the earlier class comes first.

    Args:
        probabilities: (S, C).
        penalty: added for each rank beyond ``free_ranks``.
        free_ranks: number of ranks without penalty.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, 1)
    above = np.cumsum(ordered, 1) - ordered
    ranks = np.arange(1, probabilities.shape[1] + 1)
    scores = np.empty_like(above)
    np.put_along_axis(scores, order, above + penalty * np.maximum(0, ranks - free_ranks), 1)
    return scores


SCORES: Mapping[str, Score] = {"lac": lac, "raps": raps}


@dataclass(frozen=True, slots=True)
class ConformalQuantiles:
    """Fitted quantiles of the nonconformity scores of true classes.

    Attributes:
        score: name in `SCORES`.
        classes: names of the C classes.
        class_counts: (C,) number of held-out items by true class.
        marginal: (50,) a quantile for each of `COVERAGES`; inf where there were too few items.
        per_class: (C, 50) the same for each true class.
    """

    score: str
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    marginal: Floats
    per_class: Floats

    def prediction_sets(self, probabilities: Floats, coverage: float) -> Flags:
        """Sets (S, C), True for each class in the set, with this marginal coverage.

        Args:
            probabilities: (S, C).
            coverage: in [0.5, 0.99]; rounded up to whole per cents.

        Raises:
            ConfigError: no quantile is stored for such a coverage.
        """
        quantile = float(self.marginal[coverage_index(coverage)])
        return sets_within(SCORES[self.score](probabilities), quantile)

    def prediction_sets_per_class(self, probabilities: Floats, coverage: float) -> Flags:
        """Sets with this coverage for each true class, which are larger. Arguments as above."""
        quantiles = self.per_class[:, coverage_index(coverage)]
        return sets_within(SCORES[self.score](probabilities), quantiles)


class SetMetrics(NamedTuple):
    """Metrics of prediction sets.

    Attributes:
        coverage: fraction of the items whose set holds the true class.
        mean_size: mean number of classes in a set. singletons: fraction of the sets with one class.
        coverage_by_class: coverage by true class; nan for a class without items.
    """

    coverage: float
    mean_size: float
    singletons: float
    coverage_by_class: tuple[float, ...]


def fit_quantiles(
    probabilities: Floats, labels: Integers, classes: Sequence[str], score: str
) -> ConformalQuantiles:
    """Fit quantiles for all coverages.

    Args:
        probabilities: (n, C) on held-out items.
        labels: (n,) index of the true class.
        classes: names of the C classes.
        score: name in `SCORES`.
    """
    scores = SCORES[score](probabilities)[np.arange(len(labels)), labels]
    by_class = [scores[labels == c] for c in range(len(classes))]
    return ConformalQuantiles(
        score,
        tuple(classes),
        tuple(len(part) for part in by_class),
        np.array([conformal_quantile(scores, coverage) for coverage in COVERAGES]),
        np.array([[conformal_quantile(part, coverage) for coverage in COVERAGES] for part in by_class]),
    )


def conformal_quantile(scores: Floats, coverage: float) -> float:
    """The ⌈(n + 1)·coverage⌉-th smallest of n scores of true classes; inf where n is too small for it."""
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def coverage_index(coverage: float) -> int:
    """Index of the smallest of `COVERAGES` that is at least ``coverage``.

    Raises:
        ConfigError: there is none.
    """
    if not COVERAGES[0] <= coverage <= COVERAGES[-1]:
        raise ConfigError(
            f"the coverage of the prediction sets is {coverage}",
            expected=f"a number from {COVERAGES[0]} to {COVERAGES[-1]}",
        )
    return int(np.searchsorted(COVERAGES, coverage - 1e-9))


def sets_within(scores: Floats, quantile: Floats | float) -> Flags:
    """Classes (S, C) whose score is no larger than the quantile (or than that of the class, (C,))."""
    sets: Flags = scores <= quantile + _SLACK
    sets[np.arange(len(scores)), scores.argmin(1)] = True
    return sets


def with_predicted(sets: Flags, predicted: Sequence[int] | Integers) -> Flags:
    """Sets (S, C) that also hold the predicted classes (S,); changes ``sets``."""
    sets[np.arange(len(sets)), np.asarray(predicted, np.int64)] = True
    return sets


def set_metrics(sets: Flags, labels: Integers) -> SetMetrics:
    """Metrics of sets (S, C) against true classes (S,)."""
    if not len(sets):
        return SetMetrics(math.nan, math.nan, math.nan, (math.nan,) * sets.shape[1])
    covered, size = sets[np.arange(len(labels)), labels], sets.sum(1)
    by_class = [covered[labels == c] for c in range(sets.shape[1])]
    rates = tuple(float(part.mean()) if len(part) else math.nan for part in by_class)
    return SetMetrics(float(covered.mean()), float(size.mean()), float((size == 1).mean()), rates)
