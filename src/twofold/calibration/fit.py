"""A calibration with its story: how, on what, and what came of it, as it travels with a model.

`fit_entities` and `fit_relations` are what training and ``twofold calibrate`` both do. It does not know
files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from twofold.calibration.calibration import Calibration
from twofold.calibration.card_metrics import DataFigures, Told, entity_figures, relation_figures
from twofold.calibration.decision_rule import DecisionRuleFit, select_decision_rule
from twofold.calibration.entities import calibrate_entities
from twofold.calibration.methods import METHODS, Measured
from twofold.calibration.relations import EndToEnd, calibrate_relations, end_to_end
from twofold.calibration.splits import SEED, first_half
from twofold.evaluation.trust_report import to_json
from twofold.inference.encode import EncodedPost
from twofold.inference.tagger import Tagger

DECODERS = ("sequence", "f1")
"""What a tagger can be made to tell: the best tag sequence, or what has the largest F1 to be expected."""


class Fitted(NamedTuple):
    """A calibration and its story.

    Attributes:
        calibration: what was fitted.
        facts: how and on what, as plain data: ``method``, ``fitted_on`` and, where more than a temperature
            was fitted, ``measured`` (`fitting.Measured`) and ``data`` (`figures.DataFigures` by data set);
            else ``note``, why not.
        measured: the same as ``facts["measured"]``; None where only a temperature was fitted.
        told: what came of it, lines for people.
        end_to_end: the same as ``facts["end_to_end"]``; None for what was not measured so.
        chosen: the same as ``facts["chosen"]``; None where it was not fitted what to tell.
    """

    calibration: Calibration
    facts: Mapping[str, Any]
    measured: Measured | None = None
    told: Sequence[str] = ()
    end_to_end: EndToEnd | None = None
    chosen: DecisionRuleFit | None = None


def story(
    calibration: Calibration,
    measured: Measured,
    data: Mapping[str, DataFigures],
    *,
    fitted_on: Sequence[str],
    method: str,
    score: str,
    seed: int,
) -> Fitted:
    """All of it, whatever was calibrated.

    Args:
        calibration, measured: see `fitting.calibrate`.
        data: by data set.
        fitted_on: names of the data sets.
        method, score, seed: as they were asked for.
    """
    facts = {"method": method, "score": score, "seed": seed, "fitted_on": list(fitted_on)}
    return Fitted(calibration, facts | {"measured": to_json(measured), "data": to_json(data)}, measured)


def fit_entities(
    tagger: Tagger,
    groups: Mapping[str, Sequence[EncodedPost]],
    *,
    tell: str | None = None,
    method: str = "temperature",
    score: str = "lac",
    seed: int = SEED,
) -> Fitted:
    """Calibrate a tagger on labelled posts and measure it on each data set.

    Args:
        tagger: that read them.
        groups: readings by the name of the data set.
        tell: what it is to tell: one of `DECODERS`; None for what it tells now.
        method: name in `fitting.METHODS`. score: of the sets, see `conformal.SCORES`. seed: of the halves.

    Raises:
        DataError: too little is found in them.
    """
    together = [reading for readings in groups.values() for reading in readings]
    chosen = _chosen(tagger, together, seed) if tell == "f1" else None
    if tell is not None:
        tagger = tagger.with_decision_rule(None if chosen is None else chosen.decision_rule)
    calibration, measured = calibrate_entities(
        tagger.decoder, together, method=METHODS[method], score=score, seed=seed
    )
    data = entity_figures(tagger, groups, calibration, seed)
    fitted = story(calibration, measured, data, fitted_on=list(groups), method=method, score=score, seed=seed)
    if chosen is None:
        return fitted
    return fitted._replace(facts={**fitted.facts, "chosen": to_json(chosen)}, chosen=chosen)


def _chosen(tagger: Tagger, readings: Sequence[EncodedPost], seed: int) -> DecisionRuleFit:
    halves = first_half([reading.post.id for reading in readings], seed)
    first, second = (
        [r for r, h in zip(readings, halves, strict=True) if h == half] for half in (True, False)
    )
    return select_decision_rule(tagger.decoder, first, second)


def fit_relations(
    labels: Sequence[str],
    groups: Mapping[str, Told],
    *,
    found: Mapping[str, Told] | None = None,
    symmetric: Collection[str] = (),
    method: str = "temperature",
    score: str = "lac",
    seed: int = SEED,
) -> Fitted:
    """Calibrate a relation model on labelled pairs and measure it on each data set.

    Args:
        labels: the model's relations.
        groups: what it tells between given ends, by the name of the data set.
        found: what it tells between the entities that a tagger finds in the same posts, to be measured as
            ``facts["end_to_end"]``; None without a tagger.
        symmetric: relations that hold both ways.
        method: name in `fitting.METHODS`. score: of the sets, see `conformal.SCORES`. seed: of the halves.

    Raises:
        DataError: too little is found in them.
    """
    posts, predicted = _together(groups)
    calibration, measured = calibrate_relations(
        labels, posts, predicted, symmetric=symmetric, method=METHODS[method], score=score, seed=seed
    )
    data = relation_figures(labels, groups, calibration, symmetric=symmetric, seed=seed)
    fitted = story(calibration, measured, data, fitted_on=list(groups), method=method, score=score, seed=seed)
    if found is None:
        return fitted
    whole = end_to_end(calibration, labels, *_together(found), symmetric=symmetric, seed=seed)
    return fitted._replace(facts={**fitted.facts, "end_to_end": to_json(whole)}, end_to_end=whole)


def _together(groups: Mapping[str, Told]) -> Told:
    every = groups.values()
    return Told(
        [post for told in every for post in told.posts], [row for told in every for row in told.predicted]
    )
