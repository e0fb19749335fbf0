"""Fits a calibration for a model and describes it: what was fitted, how, on which data, with which metrics.

Training and ``twofold calibrate`` both call `fit_entities` and `fit_relations`. This module does not know
files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from twofold.calibration.calibrate import CalibrationReport
from twofold.calibration.calibration import Calibration
from twofold.calibration.data_set_metrics import DataSetMetrics, entity_metrics, relation_metrics
from twofold.calibration.decision_rule import DecisionRuleFit, fit_and_test_decision_rule
from twofold.calibration.entities import calibrate_entities
from twofold.calibration.methods import METHODS
from twofold.calibration.relation_rule import RelationRuleFit
from twofold.calibration.relations import (
    EndToEndReport,
    RelationPredictions,
    calibrate_relations,
    concatenated,
    evaluate_end_to_end,
)
from twofold.calibration.splits import SEED, in_tuning_split
from twofold.crf import DecisionRule
from twofold.evaluation.trust_report import to_json
from twofold.inference.encode import EncodedPost
from twofold.inference.tagger import Tagger


class CalibrationFit(NamedTuple):
    """A fitted calibration and its description.

    Attributes:
        calibration: what was fitted.
        description: plain data for JSON: ``method``, ``fitted_on`` and, where more than a temperature was
            fitted, ``report`` (`CalibrationReport`) and ``by_data_set`` (`DataSetMetrics`); else ``note``,
            the reason.
        report: the same as ``description["report"]``; None where only a temperature was fitted.
        end_to_end: the same as ``description["end_to_end"]``; None where it was not measured.
        decision_rule_fit: the same as ``description["decision_rule_fit"]``; None where none was fitted.
    """

    calibration: Calibration
    description: Mapping[str, Any]
    report: CalibrationReport | None = None
    end_to_end: EndToEndReport | None = None
    decision_rule_fit: DecisionRuleFit | RelationRuleFit | None = None


def describe_fit(
    calibration: Calibration,
    report: CalibrationReport,
    by_data_set: Mapping[str, DataSetMetrics],
    *,
    method: str,
    score: str,
    seed: int,
) -> CalibrationFit:
    """A calibration with its description.

    Args:
        calibration, report: see `twofold.calibration.calibrate.calibrate`.
        by_data_set: metrics on each data set it was fitted on.
        method: name in `METHODS`. score: score of the prediction sets. seed: seed of the splits.
    """
    description = {"method": method, "score": score, "seed": seed, "fitted_on": list(by_data_set)}
    metrics = {"report": to_json(report), "by_data_set": to_json(by_data_set)}
    return CalibrationFit(calibration, description | metrics, report)


def fit_entities(
    tagger: Tagger,
    data_sets: Mapping[str, Sequence[EncodedPost]],
    *,
    decode: str | None = None,
    method: str = "temperature",
    score: str = "lac",
    seed: int = SEED,
) -> CalibrationFit:
    """Calibrate a tagger on labelled posts and measure it on each data set.

    Args:
        tagger: the tagger that encoded them.
        data_sets: labelled posts by the name of the data set.
        decode: one of `decision_rule.DECODERS`; None for the tagger's own decoding.
        method: name in `METHODS`. score: name in `conformal.SCORES`. seed: seed of the splits.

    Raises:
        DataError: too few entities are predicted.
    """
    posts = [post for group in data_sets.values() for post in group]
    rule_fit = _fit_decision_rule(tagger, posts, seed) if decode == "f1" else None
    if decode is not None:
        tagger = tagger.with_decision_rule(None if rule_fit is None else rule_fit.decision_rule)
    calibration, report = calibrate_entities(
        tagger.decoder, posts, method=METHODS[method], score=score, seed=seed
    )
    by_data_set = entity_metrics(tagger, data_sets, calibration, seed)
    fit = describe_fit(calibration, report, by_data_set, method=method, score=score, seed=seed)
    return _with_rule_fit(fit, rule_fit)


def _fit_decision_rule(tagger: Tagger, posts: Sequence[EncodedPost], seed: int) -> DecisionRuleFit:
    mask = in_tuning_split([post.post.id for post in posts], seed).tolist()
    tuning, test = ([p for p, m in zip(posts, mask, strict=True) if m == part] for part in (True, False))
    return fit_and_test_decision_rule(tagger.decoder, tuning, test)


def fit_relations(
    labels: Sequence[str],
    data_sets: Mapping[str, RelationPredictions],
    *,
    end_to_end: Mapping[str, RelationPredictions] | None = None,
    rule: DecisionRule | None = None,
    rule_fit: RelationRuleFit | None = None,
    symmetric: Collection[str] = (),
    method: str = "temperature",
    score: str = "lac",
    seed: int = SEED,
) -> CalibrationFit:
    """Calibrate a relation model on labelled pairs and measure it on each data set.

    Args:
        labels: the model's relations.
        data_sets: relations predicted for gold pairs, by the name of the data set.
        end_to_end: relations predicted between the entities that a tagger predicts in the same posts,
            measured as ``description["end_to_end"]``; None without a tagger.
        rule: decision rule of all these predictions. rule_fit: its fit, if it was fitted on the same posts.
        symmetric: relations that hold in both directions.
        method: name in `METHODS`. score: name in `conformal.SCORES`. seed: seed of the splits.

    Raises:
        DataError: too few relations are predicted.
    """
    calibration, report = calibrate_relations(
        labels,
        concatenated(data_sets),
        symmetric=symmetric,
        method=METHODS[method],
        score=score,
        seed=seed,
    )
    by_data_set = relation_metrics(labels, data_sets, calibration, symmetric=symmetric, seed=seed)
    decided = replace(calibration, decision_rule=rule)
    fit = describe_fit(decided, report, by_data_set, method=method, score=score, seed=seed)
    fit = _with_rule_fit(fit, rule_fit)
    if end_to_end is None:
        return fit
    whole = evaluate_end_to_end(calibration, labels, concatenated(end_to_end), symmetric=symmetric, seed=seed)
    return fit._replace(description={**fit.description, "end_to_end": to_json(whole)}, end_to_end=whole)


def _with_rule_fit(fit: CalibrationFit, rule_fit: DecisionRuleFit | RelationRuleFit | None) -> CalibrationFit:
    if rule_fit is None:
        return fit
    description = {**fit.description, "decision_rule_fit": to_json(rule_fit)}
    return fit._replace(description=description, decision_rule_fit=rule_fit)
