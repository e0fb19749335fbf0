"""Calibration error and error detection of the models of a table, next to their F1.

    twofold reproduce benchmarks/tables/evidential.toml --data DATA -o OUT --keep-models
    python benchmarks/trust_of_runs.py benchmarks/tables/evidential.toml --data DATA --runs OUT --json FILE

The model of each finished run is evaluated on the file that the table reports on, like `twofold evaluate
--trust`; means and standard deviations are over seeds. Runs without a model are listed and left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import twofold
from twofold.experiments.plan import Run, runs_of
from twofold.experiments.runs import Runs
from twofold.experiments.table import Table, read_table

MEASURES = ("confidence", "aleatoric", "epistemic")
Figures = dict[str, float]


def main() -> None:
    """Evaluate the models, write the metrics and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="the folder that `reproduce` wrote")
    parser.add_argument("--json", type=Path, required=True, help="metrics of all runs; existing ones stay")
    args = parser.parse_args()
    table, runs = read_table(args.table, args.data), Runs(args.runs / "runs")
    found: dict[str, Figures] = json.loads(args.json.read_text("utf-8")) if args.json.is_file() else {}
    for run in runs_of(table):
        model = runs.folder_of(run) / "model"
        if runs.result(run) is None or not (model / "manifest.json").is_file():
            print(f"left out, not finished or without a model: {run.name}")
        elif run.name not in found:
            found[run.name] = _figures(run, model)
            args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(_page(table, found))


def _figures(run: Run, model: Path) -> Figures:
    data = run.config.data
    posts = twofold.read_posts(run.report, images=data.images or None, alt_text=data.alt_text or None)
    report = twofold.evaluate(twofold.load(model, threads=1), posts, trust=True)
    assert report.entities is not None
    trust = report.trust["entities"]
    figures = {
        "lenient F1": report.entities.lenient.overall.f1,
        "ECE": trust.calibration["all"].metrics["ece"].value,
    }
    areas = {
        f"AUROC, {name}": trust.error_auroc[name].value for name in MEASURES if name in trust.error_auroc
    }
    return {name: round(100 * value, 2) for name, value in (figures | areas).items()}


def _page(table: Table, found: Mapping[str, Figures]) -> str:
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    lines = [f"| {table.title} | seeds | {' | '.join(names)} |", f"|---|---:|{'---:|' * len(names)}"]
    for name, data in table.data.items():
        for key, method in table.methods.items():
            rows = [figures for run, figures in found.items() if run.startswith(f"{name}/{key}/")]
            if rows:
                cells = (mean_with_sd([row[metric] for row in rows if metric in row]) for metric in names)
                lines.append(
                    f"| {data.title or name}, {method.title or key} | {len(rows)} | {' | '.join(cells)} |"
                )
    return "\n".join(lines)


def mean_with_sd(values: Sequence[float]) -> str:
    """Mean over seeds, with the standard deviation if there are several."""
    if not values:
        return "–"
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
