"""From the results of runs to the values of a table.

Means over seeds with their sample standard deviation, differences from the baseline by paired bootstrap
over posts, training times as ratios. A resample takes all instances of a post or none.

Shapes: N posts, S runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.evaluation.paired_bootstrap import METHOD, RESAMPLES, Counts, compare
from twofold.experiments.outcomes import METRICS
from twofold.experiments.plan import Run
from twofold.experiments.table import Table

Result = Mapping[str, Any]
Plain = dict[str, Any]
Done = Sequence[tuple[Run, Result]]


def summarise(table: Table, runs: Sequence[Run], results: Mapping[str, Result]) -> Plain:
    """Everything a page needs, as plain data.

    Args:
        table: what was compared.
        runs: all its runs.
        results: of those that are finished, by run id.
    """
    done = [(run, results[run.id]) for run in runs if run.id in results]
    return {
        "table": table.name,
        "title": table.title,
        "note": table.note,
        "baseline": table.baseline,
        "bootstrap": {"method": METHOD, "resamples": RESAMPLES, "seed": 0},
        "versions": _all(result["versions"] for _, result in done),
        "code": sorted({result["code"] for _, result in done}),
        "machine": _all(result["machine"] for _, result in done),
        "missing": [run.name for run in runs if run.id not in results],
        "data": [_data_set(table, name, [x for x in done if x[0].data == name]) for name in table.data],
    }


def _all(tables: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Every value that occurs, by key: one each where all runs agree."""
    found: dict[str, list[Any]] = {}
    for item in tables:
        for key, value in item.items():
            if value not in found.setdefault(key, []):
                found[key].append(value)
    return found


def _data_set(table: Table, name: str, done: Done) -> Plain:
    item = table.data[name]
    base = [x for x in done if x[0].method == table.baseline]
    rows = [
        _method(table, method, [x for x in done if x[0].method == method], base)
        for method in item.methods or table.methods
        if any(run.method == method for run, _ in done)
    ]
    return {
        "name": name,
        "title": item.title or name,
        "task": item.task,
        "reported_on_dev": item.report in item.dev,
        "pictures": item.pictures,
        "descriptions": item.descriptions if item.alt_text else "none",
        "files": _files(done[0][1]) if done else [],
        "hashes": dict(done[0][0].hashes) if done else {},
        "methods": rows,
        "majority": _majority(done[0][1]) if done and item.task == "relations" else {},
    }


def _majority(result: Result) -> Plain:
    """Scores of the typed-majority baselines, known on dev alone; {} where another file is reported."""
    report = result["data"]["report"]["sha256"]
    names = [x["name"] for x in result["data"]["dev"] if x["sha256"] == report]
    scored: Plain = result["dev"].get(names[0], {}) if names else {}
    return {name: row["all"] for name, row in scored.items() if name.startswith("typed majority")}


def _files(result: Result) -> list[Plain]:
    data = result["data"]
    listed = [("train", x) for x in data["train"]] + [("dev", x) for x in data["dev"]]
    return [
        {"part": part, **{key: x[key] for key in ("name", "release", "sha256", "posts", "rejected")}}
        for part, x in [*listed, ("report", data["report"])]
    ]


def _method(table: Table, name: str, done: Done, base: Done) -> Plain:
    results, method = [result for _, result in done], table.methods[name].of(done[0][0].data)
    return {
        "name": name,
        "title": method.title or name,
        "fusion": done[0][0].config.model.fusion,
        "modalities": list(done[0][0].config.model.modalities),
        "settings": {**method.model, **method.training},
        "seeds": [run.seed for run, _ in done],
        "scores": {metric: _scores(results, metric) for metric in _metrics(results)},
        "against_baseline": _against(done, base) if name != table.baseline else None,
        "parameters": results[0]["parameters"],
        "seconds": _relative_time(done, base),
        "chosen_epochs": [result["chosen_epoch"] for result in results],
        "epochs": [len(result["epochs"]) for result in results],
        "unreadable_pictures": results[0]["unreadable_pictures"],
    }


# --- scores ------------------------------------------------------------------------------------------


def _metrics(results: Sequence[Result]) -> list[str]:
    """Metrics in the order of tables; results hold them in the order of their first occurrence."""
    return [metric for metric in METRICS if metric in results[0]["outcomes"]["counts"]]


def _scores(results: Sequence[Result], metric: str) -> Plain:
    labels = sorted({label for result in results for label in result["outcomes"]["counts"][metric]})
    return {"all": _score(results, metric, None)} | {
        label: _score(results, metric, label) for label in labels
    }


def _score(results: Sequence[Result], metric: str, label: str | None) -> Plain:
    rows = [_precision_recall_f1(counts(result, metric, label).sum(1)) for result in results]
    gold = int(counts(results[0], metric, label)[2].sum())
    return {name: _mean_and_sd([row[name] for row in rows]) for name in rows[0]} | {"gold": gold}


def _precision_recall_f1(total: NDArray[np.int64]) -> dict[str, float]:
    """Precision, recall and F1 in per cent, from correct, predicted, gold."""
    correct, predicted, gold = (int(x) for x in total)
    return {
        "precision": 100 * correct / predicted if predicted else 0.0,
        "recall": 100 * correct / gold if gold else 0.0,
        "f1": 200 * correct / (predicted + gold) if predicted + gold else 0.0,
    }


def _mean_and_sd(values: Sequence[float]) -> Plain:
    sd = round(stdev(values), 3) if len(values) > 1 else None
    return {"mean": round(mean(values), 3), "sd": sd, "runs": [round(x, 3) for x in values]}


def counts(result: Result, metric: str, label: str | None = None) -> NDArray[np.int64]:
    """Correct, predicted and gold (3, N) of the posts of a run, of one label or of all together."""
    labels: Mapping[str, Any] = result["outcomes"]["counts"].get(metric, {})
    chosen = list(labels.values()) if label is None else [labels[label]] if label in labels else []
    nothing = np.zeros((3, len(result["outcomes"]["posts"])), np.int64)
    total: NDArray[np.int64] = sum((np.array(columns, np.int64) for columns in chosen), nothing)
    return total


# --- against the baseline ----------------------------------------------------------------------------


def _against(done: Done, base: Done) -> Plain | None:
    """Differences of F1 from the baseline on the seeds that both have, in points, by metric."""
    shared = sorted({run.seed for run, _ in done} & {run.seed for run, _ in base})
    if not shared:
        return None
    ours = [result for run, result in done if run.seed in shared]
    theirs = [result for run, result in base if run.seed in shared]
    found: Plain = {"seeds": shared}
    for metric in _metrics(ours):
        difference = compare(_stack(ours, metric), _stack(theirs, metric))
        points = {name: round(100 * getattr(difference, name), 3) for name in ("value", "low", "high")}
        found[metric] = points | {"p": round(difference.p, 5)}
    return found


def _stack(results: Sequence[Result], metric: str) -> Counts:
    """(S, 3, N): posts in one order, instances of one post summed."""
    names = sorted(set(results[0]["outcomes"]["posts"]))
    position = {name: i for i, name in enumerate(names)}
    stacked = np.zeros((len(results), 3, len(names)), np.int64)
    for row, result in zip(stacked, results, strict=True):
        index = [position[name] for name in result["outcomes"]["posts"]]
        np.add.at(row.T, index, counts(result, metric).T)
    return stacked


# --- costs -------------------------------------------------------------------------------------------


def _relative_time(done: Done, base: Done) -> Plain:
    """Training time of an epoch divided by the baseline's with the same seed; the median over seeds."""
    of_base = {run.seed: _seconds(result) for run, result in base}
    ratios = [_seconds(result) / of_base[run.seed] for run, result in done if run.seed in of_base]
    return {"relative": round(median(ratios), 2) if ratios else None}


def _seconds(result: Result) -> float:
    """Median time of an epoch: processor time for a training on the CPU, for it excludes waiting."""
    key = "processor_seconds" if result["machine"]["device"] == "cpu" else "seconds"
    return float(median(row.get(key, row["seconds"]) for row in result["epochs"]))
