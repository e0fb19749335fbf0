"""Does the uncertainty of a model rise on out-of-distribution data?

Each measure of uncertainty is a score that should be larger for out-of-distribution (OOD) items, posts of
another data set or entities never seen in training: AUROC, AUPR and FPR95 of `detection`, OOD items as the
positives. Intervals resample posts with their predictions: the posts of two data sets separately, so that
their sizes stay the same; the two versions of one post together.

An item without a value (no entity in the post, no evidence in the model) is left out of that measure. The
counts say how many items remain: measures of entities ignore OOD posts in which the model finds none.
This module does not know texts, models or files.

Shape letters: N items, P in-domain posts, Q OOD posts, S predictions, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.bootstrap import RESAMPLES, Interval, percentile_interval
from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.paired_bootstrap import resample_weights
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import uncertainty_measures

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

METRICS = ("auroc", "aupr", "fpr95")


@dataclass(frozen=True, slots=True)
class OODDetection:
    """How well one measure separates OOD items from in-domain items.

    Attributes:
        auroc: probability that an OOD item has the larger value; 0.5 is random.
        aupr: average precision for OOD items; a random measure has ``base_rate``.
        fpr95: fraction of the in-domain items flagged when 95 % of the OOD items are.
        base_rate: fraction of the items that is OOD.
        in_domain: number of in-domain items that have a value. ood: number of OOD items that have one.
    """

    auroc: Interval
    aupr: Interval
    fpr95: Interval
    base_rate: float
    in_domain: int
    ood: int


@dataclass(frozen=True, slots=True)
class DataMetrics:
    """Metrics of a model on one of the two data sets.

    Attributes:
        items: number of posts, or of predictions.
        predicted: number of entities predicted.
        confidence: their mean confidence.
        accuracy: fraction of them that is right; nan without labels, as are the next two.
        f1: lenient F1.
        ece: expected calibration error.
    """

    items: int
    predicted: int
    confidence: float
    accuracy: float
    f1: float
    ece: float


@dataclass(frozen=True, slots=True)
class DomainShift:
    """In-domain data compared with out-of-distribution data.

    Attributes:
        name: of the OOD data.
        items: ``posts`` or ``entities``: what is classified as in-domain or OOD.
        in_domain: metrics of the model on the in-domain data. ood: on the OOD data.
        detection: by measure of uncertainty, how well it detects OOD items.
    """

    name: str
    items: str
    in_domain: DataMetrics
    ood: DataMetrics
    detection: Mapping[str, OODDetection]


def resample_separately(in_domain: int, ood: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Weights (P + Q,) of each resample, for two data sets that share no post."""
    both = zip(
        resample_weights(in_domain, resamples, seed), resample_weights(ood, resamples, seed + 1), strict=True
    )
    return (w for first, second in both for w in np.hstack([first, second]))


def resample_pairs(in_domain: int, ood: int, resamples: int, seed: int) -> Iterator[Floats]:
    """The same where the OOD posts are versions of the in-domain posts, in the same order: P is Q."""
    assert in_domain == ood
    return (w for group in resample_weights(in_domain, resamples, seed) for w in np.hstack([group, group]))


def post_ood_detection(
    in_domain: Mapping[str, Floats],
    ood: Mapping[str, Floats],
    *,
    resample: Callable[[int, int, int, int], Iterator[Floats]] = resample_separately,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, OODDetection]:
    """How well each measure that both data sets have detects the OOD posts.

    Args:
        in_domain: (P,) values by measure, larger for more uncertainty; nan for no value.
        ood: (Q,) likewise.
        resample: `resample_separately` or `resample_pairs`.
        resamples: R.
        seed: seed of the resamples.
    """
    names = [name for name in in_domain if name in ood]
    scores = {name: np.concatenate([in_domain[name], ood[name]]) for name in names}
    if not scores:
        return {}
    first, second = len(in_domain[names[0]]), len(ood[names[0]])
    weights = resample(first, second, resamples, seed) if first and second else ()
    return _detections(scores, np.arange(first + second) >= first, weights)


def prediction_ood_detection(
    predictions: Predictions, ood: Flags, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, OODDetection]:
    """How well each uncertainty measure of the predictions detects those that are OOD.

    Args:
        predictions: S predictions.
        ood: (S,) True for OOD predictions.
        resamples: R.
        seed: seed of the resamples.
    """
    p = predictions
    resampled = resample_weights(p.posts, resamples, seed) if p.posts else ()
    return _detections(uncertainty_measures(p), ood, (w[p.post] for group in resampled for w in group))


def data_metrics(predictions: Predictions, items: int, labelled: bool) -> DataMetrics:
    """Metrics on one data set; without labels accuracy, F1 and ECE are nan."""
    p, predicted = predictions, len(predictions.confidence)
    mean, right = (float(x.mean()) if predicted else np.nan for x in (p.confidence, p.right))
    if not labelled:
        return DataMetrics(items, predicted, mean, np.nan, np.nan, np.nan)
    total = predicted + p.gold
    f1 = 2 * int(p.right.sum()) / total if total else np.nan
    return DataMetrics(items, predicted, mean, right, f1, calibration_error(p.confidence, p.right))


def _detections(
    scores: Mapping[str, Floats], ood: Flags, weights: Iterable[Floats]
) -> dict[str, OODDetection]:
    """Detection by scores (N,) of each measure, with one row of weights (N,) per resample."""
    known = {name: np.isfinite(score) for name, score in scores.items()}
    resampled = {name: np.full((0, len(METRICS)), np.nan) for name in scores}
    rows = [
        [
            detection_metrics(score[known[name]], ood[known[name]], w[known[name]])[:3]
            for name, score in scores.items()
        ]
        for w in weights
    ]
    if rows:
        resampled = {name: np.array([row[i] for row in rows]) for i, name in enumerate(scores)}
    return {
        name: _detection(score[known[name]], ood[known[name]], resampled[name])
        for name, score in scores.items()
    }


def _detection(score: Floats, ood: Flags, resampled: Floats) -> OODDetection:
    found = detection_metrics(score, ood)
    auroc, aupr, fpr95 = (percentile_interval(found[i], resampled[:, i]) for i in range(len(METRICS)))
    base_rate = float(ood.mean()) if len(ood) else np.nan
    return OODDetection(auroc, aupr, fpr95, base_rate, int((~ood).sum()), int(ood.sum()))
