"""From what methods say of spans to figures with intervals, and to tables.

Temperatures are fitted on the spans of one part of the posts, figures are of the other part. Intervals draw
posts; of measures on the same predictions, differences are taken draw by draw. All figures are those of
`twofold.evaluation`. It does not know networks.

Shape letters: S spans of all posts one after another, P posts reported on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from measures import Confidence, Spans, View
from numpy.typing import NDArray

from twofold.calibration.temperature import fit_temperature
from twofold.evaluation.bootstrap import Interval, bootstrap_metrics, percentile_interval, reflected_interval
from twofold.evaluation.calibration_error import brier_score, calibration_error
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.selective import aurc, excess_aurc, risk_coverage_curve
from twofold.posts import Post
from twofold.preprocessing.segmentation import segment_post

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FIGURES = {"aurc": "AURC", "excess_aurc": "excess", "auroc": "error AUROC", "ece": "ECE", "brier": "Brier"}
SURE = ("aurc", "auroc")
"""Of which differences are taken."""


@dataclass(frozen=True)
class Scene:
    """Posts, and which of them temperatures are fitted on; the others are reported on."""

    posts: Sequence[Post]
    fits: Flags

    @property
    def reported(self) -> int:
        """P."""
        return int((~self.fits).sum())

    def judge(self, spans: Spans) -> Judged:
        """Which of these spans are right."""
        return Judged(self, spans)

    def gold(self) -> list[set[tuple[int, int, str]]]:
        """Gold of each post in characters, lenient."""
        return [{(e.start, e.end, e.type) for e in post.entities or ()} for post in self.posts]


class Judged:
    """Spans against the gold.

    Attributes:
        spans: of each post. right: (S,). post: (S,) number of the post.
        number: (S,) number of the post among those reported on. told: (S,) True where it is one.
    """

    def __init__(self, scene: Scene, spans: Spans) -> None:
        self.scene, self.spans = scene, spans
        places = [segment_post(post) for post in scene.posts]
        told = [
            (place[s.start][0], place[s.end - 1][1], s.type) in gold
            for place, row, gold in zip(places, spans, scene.gold(), strict=True)
            for s in row
        ]
        self.right = np.array(told, bool)
        self.post = np.repeat(np.arange(len(spans)), [len(row) for row in spans])
        self.told = ~scene.fits[self.post]
        self.number = (np.cumsum(~scene.fits) - 1)[self.post]

    def part(self, fits: bool) -> list[Sequence[Any]]:
        """The spans of one part of the posts; none for the others."""
        return [row if mine == fits else [] for row, mine in zip(self.spans, self.scene.fits, strict=True)]

    def f1(self, draws: int) -> Interval:
        """Lenient span F1 of what is reported on."""
        gold = np.array(
            [len(x) for x, fit in zip(self.scene.gold(), self.scene.fits, strict=True) if not fit]
        )
        right, number = self.right[self.told], self.number[self.told]

        def figure(weights: Floats) -> dict[str, float]:
            mine = weights[number]
            total = mine.sum() + (weights * gold).sum()
            return {"f1": 2 * float(mine[right].sum()) / float(total) if total else 0.0}

        value = figure(np.ones(len(gold)))["f1"]
        return percentile_interval(value, bootstrap_metrics(figure, len(gold), resamples=draws)["f1"])


@dataclass(frozen=True)
class Row:
    """One measure of one method on the spans reported on.

    Attributes:
        method: its name. measure: the measure's. passes: forward passes. trainings: networks trained.
        values: (S',) larger for surer. chance: whether these are probabilities.
        temperature: fitted one; None where none was.
    """

    method: str
    measure: str
    passes: int
    trainings: int
    values: Floats
    chance: bool
    temperature: float | None = None

    @property
    def key(self) -> str:
        """What a person calls it."""
        return self.measure if self.temperature is None else f"{self.measure}, temperature"


def rows_of(view: View, judged: Judged) -> Iterator[Row]:
    """All measures of a method on these spans, its own or another's."""
    told = judged.part(fits=False)

    def row(measure: str, values: Floats, chance: bool, temperature: float | None = None) -> Row:
        return Row(view.method, measure, view.passes, view.trainings, values, chance, temperature)

    for name, confidence in view.confidences.items():
        yield row(name, confidence(told, 1.0), True)
        temperature = _fit(confidence, judged)
        yield row(name, confidence(told, temperature), True, temperature)
    for name, uncertainty in view.uncertainties.items():
        yield row(name, -uncertainty(told), False)


def _fit(confidence: Confidence, judged: Judged) -> float:
    spans, right = judged.part(fits=True), judged.right[~judged.told]
    return fit_temperature(lambda t: confidence(spans, t), right).temperature


def measured(
    rows: Sequence[Row], judged: Judged, draws: int, against: int | None = None
) -> list[dict[str, Any]]:
    """Figures of measures on the same spans.

    Args:
        rows: the measures.
        judged: the spans.
        draws: of posts, for the intervals.
        against: row that the others are compared with, draw by draw; None for no comparison.
    """
    right, number = judged.right[judged.told], judged.number[judged.told]

    def all_figures(weights: Floats) -> dict[str, float]:
        mine = weights[number]
        each = [figures(row, right, mine) for row in rows]
        if against is not None:
            each = [one | _differences(one, each[against]) for one in each]
        return {f"{i} {name}": value for i, one in enumerate(each) for name, value in one.items()}

    values = all_figures(np.ones(judged.scene.reported))
    drawn = bootstrap_metrics(all_figures, judged.scene.reported, resamples=draws)
    found: list[dict[str, Interval]] = [{} for _ in rows]
    for key, value in values.items():
        i, name = key.split()
        found[int(i)][name] = (reflected_interval if name == "ece" else percentile_interval)(
            value, drawn[key]
        )
    return [_told(row, intervals) for row, intervals in zip(rows, found, strict=True)]


def _differences(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_difference": ours[name] - theirs[name] for name in SURE}


def figures(row: Row, right: Flags, weights: Floats) -> dict[str, float]:
    """Of one measure; those of probabilities only where it is one."""
    curve = risk_coverage_curve(row.values, right, weights)
    found = {
        "aurc": aurc(curve),
        "excess_aurc": excess_aurc(curve),
        "auroc": detection_metrics(-row.values, ~right, weights).auroc,
    }
    if row.chance:
        found["ece"] = calibration_error(row.values, right, weights=weights)
        found["brier"] = brier_score(row.values, right, weights=weights)
    return found


def _told(row: Row, found: Mapping[str, Interval]) -> dict[str, Any]:
    head = {"method": row.method, "measure": row.key, "passes": row.passes, "trainings": row.trainings}
    return head | {"temperature": row.temperature, "figures": dict(found)}


def over_seeds(runs: Sequence[Sequence[Row]], judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Mean and sample standard deviation of each figure over trainings, by measure."""
    found = []
    for same in zip(*runs, strict=True):
        each = [
            figures(row, said.right[said.told], np.ones(int(said.told.sum())))
            for row, said in zip(same, judged, strict=True)
        ]
        columns = {name: [one[name] for one in each] for name in each[0]}
        found.append({"measure": same[0].key, "figures": {n: _spread(x) for n, x in columns.items()}})
    return found


def _spread(values: Sequence[float]) -> dict[str, Any]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return {"mean": float(np.mean(values)), "deviation": deviation, "values": list(values)}


# --- tables ----------------------------------------------------------------------------------------------


def own_table(methods: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Measures on each method's own spans, all in per cent; ``rows`` and ``methods`` as in the JSON."""
    lines = _head("method", "F1", "passes", "measure", *FIGURES.values())
    for row in rows:
        cells = [_cell(row["figures"].get(name)) for name in FIGURES]
        f1 = _cell(methods[row["method"]]["f1"])
        lines.append(_line(row["method"], f1, str(row["passes"]), row["measure"], *cells))
    return lines


def common_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Measures on the same spans, and differences of AUROC and AURC from the first row."""
    names = [*FIGURES, *(f"{name}_difference" for name in SURE)]
    lines = _head("method", "passes", "measure", *FIGURES.values(), "Δ AURC", "Δ AUROC")
    for row in rows:
        cells = [_cell(row["figures"].get(name)) for name in names]
        lines.append(_line(row["method"], str(row["passes"]), row["measure"], *cells))
    return lines


def seeds_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Mean ± standard deviation over seeds."""
    lines = _head("measure", *FIGURES.values())
    for row in rows:
        cells = [row["figures"].get(name) for name in FIGURES]
        told = [f"{_number(x['mean'])} ± {_number(x['deviation'])}" if x else "–" for x in cells]
        lines.append(_line(row["measure"], *told))
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
