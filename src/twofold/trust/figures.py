"""What a model card says of trust, data set by data set, beside what was fitted on all of them together.

Calibration before and after, risk against coverage and detection of errors are measured on the half of the
posts that confidences were not fitted on; sets on the other, where their lines are unknown.

It does not know files or cards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.predictions import PredictionCollector, Predictions
from twofold.evaluation.trust import ALL, trust_report
from twofold.runtime.reading import Reading
from twofold.runtime.tagging import Tagger
from twofold.trust.calibrated import Calibration
from twofold.trust.conformal import SetFigures, set_figures
from twofold.trust.entities import labelled, span_confidences
from twofold.trust.fitting import LEVELS, Labelled, answer_sets
from twofold.trust.halves import SEED, first_half
from twofold.trust.uncalibrated import uncalibrated


@dataclass(frozen=True, slots=True)
class DataFigures:
    """Of one data set.

    Attributes:
        posts: in the half that confidences were fitted on, and in the other.
        found: predictions in the other. right: of these. missed: gold that none of these is.
        before: figures of their confidences at temperature 1 (`calibration_figures`); None where unknown.
        after: as calibrated.
        ece_by_chance: what ``ece`` would be of exact confidences.
        kept: risk against coverage, see `evaluation.trust.SelectiveFigures`.
        errors: AUROC by measure of uncertainty, errors against right predictions.
        sets: sets on the first half, for each of `LEVELS`.
    """

    posts: tuple[int, int]
    found: int
    right: int
    missed: int
    before: Mapping[str, Interval] | None
    after: Mapping[str, Interval]
    ece_by_chance: float
    kept: Mapping[str, Interval]
    errors: Mapping[str, Interval]
    sets: Mapping[str, SetFigures]


def data_figures(first: Labelled, tested: Predictions, calibration: Calibration) -> DataFigures:
    """Measure, whatever was predicted.

    Args:
        first: predictions on the half that confidences were fitted on.
        tested: predictions on the other half, with calibrated confidences.
        calibration: fitted on these halves, of all data sets.
    """
    report = trust_report(tested)
    now = report.calibration[ALL]
    return DataFigures(
        posts=(first.posts, tested.posts),
        found=now.predictions,
        right=now.right,
        missed=now.missed,
        before=report.before.calibration[ALL].figures if report.before else None,
        after=now.figures,
        ece_by_chance=now.ece_by_chance,
        kept=report.selective.figures,
        errors=report.error_auroc,
        sets=_sets(first, calibration),
    )


def _sets(first: Labelled, calibration: Calibration) -> dict[str, SetFigures]:
    if calibration.sets is None or not len(first.found):
        return {}
    lines, chances = calibration.sets, first.chances(calibration)
    return {
        f"{level:.2f}": set_figures(answer_sets(lines, chances, first.found, level), first.truth)
        for level in LEVELS
    }


def entity_figures(
    tagger: Tagger, groups: Mapping[str, Sequence[Reading]], calibration: Calibration, seed: int = SEED
) -> dict[str, DataFigures]:
    """Figures of a tagger on each data set.

    Args:
        tagger: that read the posts; its own calibration is not looked at.
        groups: readings of labelled posts by data set.
        calibration: fitted on all of them.
        seed: of the halves.
    """
    figures = {}
    for name, readings in groups.items():
        halves = first_half([reading.post.id for reading in readings], seed)
        other = [readings[i] for i in np.flatnonzero(~halves).tolist()]
        first = labelled(tagger.decoder, readings).part(halves)
        figures[name] = data_figures(first, entity_predictions(tagger, other, calibration), calibration)
    return figures


def entity_predictions(tagger: Tagger, readings: Sequence[Reading], calibration: Calibration) -> Predictions:
    """What a tagger finds in labelled posts, with confidences of this calibration and of none."""
    found, collector = tagger.entities(readings), PredictionCollector()
    emissions = [reading.emissions for reading in readings]
    spans = tagger.decoder.decode(emissions)
    now = span_confidences(calibration, tagger.decoder, emissions, spans)
    before = uncalibrated(tagger.decoder, readings, found)
    for reading, row, values, raw in zip(readings, found, now, before, strict=True):
        told = [dataclasses.replace(e, confidence=c) for e, c in zip(row, values.tolist(), strict=True)]
        collector.add(told, reading.post.entities or (), raw)
    return collector.predictions()
