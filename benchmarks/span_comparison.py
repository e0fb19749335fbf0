"""Compute metrics with intervals, and tables, from confidences and uncertainties of spans.

Temperatures are fitted on the spans of the calibration posts, metrics are computed on the other posts.
Intervals resample posts; differences between measures of the same predictions are computed on each resample.
All metrics are those of `twofold.evaluation`. This module does not depend on networks.

Shape letters: S spans of all posts one after another, P posts evaluated on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from span_uncertainty import Confidence, MethodOutputs, Spans

from twofold.calibration.temperature import fit_temperature
from twofold.evaluation.bootstrap import Interval, bootstrap_metrics, percentile_interval, reflected_interval
from twofold.evaluation.calibration_error import brier_score, calibration_error
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.selective import aurc, excess_aurc, risk_coverage_curve
from twofold.posts import Post
from twofold.preprocessing.segmentation import segment_post

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

METRICS = {"aurc": "AURC", "excess_aurc": "excess", "auroc": "error AUROC", "ece": "ECE", "brier": "Brier"}
COMPARED = ("aurc", "auroc")
"""The metrics whose differences are reported."""


@dataclass(frozen=True)
class EvaluationPosts:
    """Posts, and which of them are for calibration (temperatures); metrics are computed on the others."""

    posts: Sequence[Post]
    is_calibration: Flags

    @property
    def evaluated(self) -> int:
        """Number P of posts evaluated on."""
        return int((~self.is_calibration).sum())

    def score(self, spans: Spans) -> ScoredSpans:
        """Compare spans with the gold spans."""
        return ScoredSpans(self, spans)

    def gold(self) -> list[set[tuple[int, int, str]]]:
        """Gold spans of each post in characters, lenient."""
        return [{(e.start, e.end, e.type) for e in post.entities or ()} for post in self.posts]


class ScoredSpans:
    """Spans compared with the gold spans.

    Attributes:
        spans: of each post. correct: (S,) whether the span is correct. post: (S,) index of the post.
        number: (S,) index among the posts evaluated on. evaluated: (S,) True if the post is one of them.
    """

    def __init__(self, posts: EvaluationPosts, spans: Spans) -> None:
        self.posts, self.spans = posts, spans
        words = [segment_post(post) for post in posts.posts]
        correct = [
            (own[s.start][0], own[s.end - 1][1], s.type) in gold
            for own, row, gold in zip(words, spans, posts.gold(), strict=True)
            for s in row
        ]
        self.correct = np.array(correct, bool)
        self.post = np.repeat(np.arange(len(spans)), [len(row) for row in spans])
        self.evaluated = ~posts.is_calibration[self.post]
        self.number = (np.cumsum(~posts.is_calibration) - 1)[self.post]

    def part(self, is_calibration: bool) -> list[Sequence[Any]]:
        """Spans of the calibration posts, or of the other posts, with empty rows for the rest."""
        return [
            row if selected == is_calibration else []
            for row, selected in zip(self.spans, self.posts.is_calibration, strict=True)
        ]

    def f1(self, resamples: int) -> Interval:
        """Lenient span F1 on the posts evaluated on."""
        gold = np.array(
            [len(x) for x, fit in zip(self.posts.gold(), self.posts.is_calibration, strict=True) if not fit]
        )
        correct, number = self.correct[self.evaluated], self.number[self.evaluated]

        def metric(weights: Floats) -> dict[str, float]:
            selected = weights[number]
            total = selected.sum() + (weights * gold).sum()
            return {"f1": 2 * float(selected[correct].sum()) / float(total) if total else 0.0}

        value = metric(np.ones(len(gold)))["f1"]
        return percentile_interval(value, bootstrap_metrics(metric, len(gold), resamples=resamples)["f1"])


@dataclass(frozen=True)
class Row:
    """One measure of one method on the spans evaluated on.

    Attributes:
        method: its name. measure: name of the measure. passes: forward passes. trainings: networks trained.
        values: (S',) larger is more certain. is_probability: whether these are probabilities.
        temperature: the fitted temperature, if any.
    """

    method: str
    measure: str
    passes: int
    trainings: int
    values: Floats
    is_probability: bool
    temperature: float | None = None

    @property
    def key(self) -> str:
        """Name in tables."""
        return self.measure if self.temperature is None else f"{self.measure}, temperature"


def measures_of(outputs: MethodOutputs, scored: ScoredSpans) -> Iterator[Row]:
    """All measures of a method on these spans, its own or those of another method."""
    evaluated = scored.part(is_calibration=False)

    def row(measure: str, values: Floats, is_probability: bool, temperature: float | None = None) -> Row:
        return Row(
            outputs.method, measure, outputs.passes, outputs.trainings, values, is_probability, temperature
        )

    for name, confidence in outputs.confidences.items():
        yield row(name, confidence(evaluated, 1.0), True)
        temperature = _fit_temperature(confidence, scored)
        yield row(name, confidence(evaluated, temperature), True, temperature)
    for name, uncertainty in outputs.uncertainties.items():
        yield row(name, -uncertainty(evaluated), False)


def _fit_temperature(confidence: Confidence, scored: ScoredSpans) -> float:
    spans, correct = scored.part(is_calibration=True), scored.correct[~scored.evaluated]
    return fit_temperature(lambda t: confidence(spans, t), correct).temperature


def metrics_with_intervals(
    rows: Sequence[Row], scored: ScoredSpans, resamples: int, against: int | None = None
) -> list[dict[str, Any]]:
    """Metrics of measures on the same spans.

    Args:
        rows: the measures.
        scored: the spans.
        resamples: of posts, for the intervals.
        against: index of the row with which the others are compared on each resample; None for no comparison.
    """
    correct, number = scored.correct[scored.evaluated], scored.number[scored.evaluated]

    def all_metrics(weights: Floats) -> dict[str, float]:
        selected = weights[number]
        each = [metrics(row, correct, selected) for row in rows]
        if against is not None:
            each = [one | _differences(one, each[against]) for one in each]
        return {f"{i} {name}": value for i, one in enumerate(each) for name, value in one.items()}

    values = all_metrics(np.ones(scored.posts.evaluated))
    resampled = bootstrap_metrics(all_metrics, scored.posts.evaluated, resamples=resamples)
    found: list[dict[str, Interval]] = [{} for _ in rows]
    for key, value in values.items():
        i, name = key.split()
        found[int(i)][name] = (reflected_interval if name == "ece" else percentile_interval)(
            value, resampled[key]
        )
    return [_record(row, intervals) for row, intervals in zip(rows, found, strict=True)]


def _differences(ours: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_difference": ours[name] - baseline[name] for name in COMPARED}


def metrics(row: Row, correct: Flags, weights: Floats) -> dict[str, float]:
    """Metrics of one measure; calibration error and Brier score for probabilities only."""
    curve = risk_coverage_curve(row.values, correct, weights)
    found = {
        "aurc": aurc(curve),
        "excess_aurc": excess_aurc(curve),
        "auroc": detection_metrics(-row.values, ~correct, weights).auroc,
    }
    if row.is_probability:
        found["ece"] = calibration_error(row.values, correct, weights=weights)
        found["brier"] = brier_score(row.values, correct, weights=weights)
    return found


def _record(row: Row, found: Mapping[str, Interval]) -> dict[str, Any]:
    head = {"method": row.method, "measure": row.key, "passes": row.passes, "trainings": row.trainings}
    return head | {"temperature": row.temperature, "metrics": dict(found)}


def mean_over_seeds(runs: Sequence[Sequence[Row]], scored: Sequence[ScoredSpans]) -> list[dict[str, Any]]:
    """Mean and sample standard deviation of each metric over trainings, by measure."""
    found = []
    for same in zip(*runs, strict=True):
        each = [
            metrics(row, spans.correct[spans.evaluated], np.ones(int(spans.evaluated.sum())))
            for row, spans in zip(same, scored, strict=True)
        ]
        columns = {name: [one[name] for one in each] for name in each[0]}
        found.append({"measure": same[0].key, "metrics": {n: _mean_and_sd(x) for n, x in columns.items()}})
    return found


def _mean_and_sd(values: Sequence[float]) -> dict[str, Any]:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return {"mean": float(np.mean(values)), "sd": sd, "values": list(values)}


# --- tables ----------------------------------------------------------------------------------------------


def own_table(methods: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of measures on each method's own spans, in per cent; ``rows`` and ``methods`` as in the JSON."""
    lines = _head("method", "F1", "passes", "measure", *METRICS.values())
    for row in rows:
        cells = [_cell(row["metrics"].get(name)) for name in METRICS]
        f1 = _cell(methods[row["method"]]["f1"])
        lines.append(_line(row["method"], f1, str(row["passes"]), row["measure"], *cells))
    return lines


def common_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of measures on the same spans, with differences of AUROC and AURC from the first row."""
    names = [*METRICS, *(f"{name}_difference" for name in COMPARED)]
    lines = _head("method", "passes", "measure", *METRICS.values(), "Δ AURC", "Δ AUROC")
    for row in rows:
        cells = [_cell(row["metrics"].get(name)) for name in names]
        lines.append(_line(row["method"], str(row["passes"]), row["measure"], *cells))
    return lines


def seeds_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Table of mean ± standard deviation over seeds."""
    lines = _head("measure", *METRICS.values())
    for row in rows:
        cells = [row["metrics"].get(name) for name in METRICS]
        values = [f"{_number(x['mean'])} ± {_number(x['sd'])}" if x else "–" for x in cells]
        lines.append(_line(row["measure"], *values))
    return lines


def _head(*cells: str) -> list[str]:
    return [_line(*cells), "|---" * len(cells) + "|"]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(interval: Mapping[str, Any] | None) -> str:
    if not interval:
        return "–"
    return f"{_number(interval['value'])} ({_number(interval['low'])} to {_number(interval['high'])})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
