"""Values of a table from made-up runs, computed by hand; and the page made of them."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from twofold.evaluation.paired_bootstrap import compare
from twofold.experiments.page import render
from twofold.experiments.plan import Run, flat, runs_of
from twofold.experiments.summary import summarise
from twofold.experiments.table import read_table

POSTS = 40


def made_up(run: Run, skill: float, seconds: float) -> dict:
    """A result as a worker writes it."""
    random = np.random.default_rng(run.seed)
    counts: dict = {"lenient": {}, "strict": {}}
    for label in ("LOC", "PER"):
        gold = np.random.default_rng(len(label) + ord(label[0])).integers(0, 3, POSTS)
        correct = random.binomial(gold, skill)
        counts["lenient"][label] = [
            correct.tolist(),
            (correct + random.integers(0, 2, POSTS)).tolist(),
            gold.tolist(),
        ]
        counts["strict"][label] = [correct.tolist(), gold.tolist(), gold.tolist()]
    file = {
        "name": "data/train.jsonl",
        "release": "made up",
        "sha256": "ab" * 32,
        "posts": POSTS,
        "rejected": 0,
    }
    return {
        "id": run.id, "settings": flat(run.config), "hashes": {}, "unreadable_pictures": 0,
        "data": {"train": [file], "dev": [file], "report": file}, "chosen_epoch": 2,
        "parameters": {"total": 2_000_000, "trainable": 1_000_000},
        "epochs": [{"seconds": 99.0, "processor_seconds": s} for s in (seconds, 2 * seconds, 3 * seconds)],
        "outcomes": {"posts": [f"p{i}" for i in range(POSTS)], "counts": counts},
        "dev": {}, "calibration": {}, "versions": {"twofold": "1"}, "code": "abc",
        "machine": {"device": "cpu", "threads": 1, "precision": "float32"},
    }  # fmt: skip


@pytest.fixture
def made(table_file: Path):
    table = read_table(table_file)
    runs = runs_of(table)
    skills = {"text_only": (0.5, 10.0), "evidential": (0.8, 13.0)}
    return table, runs, {run.id: made_up(run, *skills[run.method]) for run in runs}


def f1(result: dict, metric: str, labels: tuple[str, ...]) -> float:
    correct, predicted, gold = (
        sum(sum(result["outcomes"]["counts"][metric][k][i]) for k in labels) for i in range(3)
    )
    return 200 * correct / (predicted + gold)


def row(summary: dict, method: str) -> dict:
    return next(x for x in summary["data"][0]["methods"] if x["name"] == method)


def test_means_and_deviations_over_seeds(made):
    table, runs, results = made
    summary = summarise(table, runs, results)
    of = [results[run.id] for run in runs if run.method == "evidential"]
    for metric in ("lenient", "strict"):
        for label, labels in (("all", ("LOC", "PER")), ("LOC", ("LOC",))):
            values = [f1(result, metric, labels) for result in of]
            found = row(summary, "evidential")["scores"][metric][label]["f1"]
            assert found["mean"] == pytest.approx(mean(values), abs=1e-3)
            assert found["sd"] == pytest.approx(stdev(values), abs=1e-3)
    assert row(summary, "evidential")["seeds"] == [1, 2]
    assert row(summary, "evidential")["seconds"]["relative"] == 1.3
    assert row(summary, "text_only")["seconds"]["relative"] == 1.0


def stacked(results: list[dict], metric: str) -> np.ndarray:
    return np.array([np.sum(list(r["outcomes"]["counts"][metric].values()), axis=0) for r in results])


def test_the_difference_is_that_of_the_paired_bootstrap(made):
    table, runs, results = made
    found = row(summarise(table, runs, results), "evidential")["against_baseline"]
    ours, theirs = (
        stacked([results[r.id] for r in runs if r.method == m], "lenient")
        for m in ("evidential", "text_only")
    )
    means = [
        mean(f1(results[r.id], "lenient", ("LOC", "PER")) for r in runs if r.method == m)
        for m in ("evidential", "text_only")
    ]
    assert found["lenient"]["value"] == pytest.approx(means[0] - means[1], abs=1e-3)
    expected = compare(ours, theirs)
    assert found["lenient"]["p"] == pytest.approx(expected.p, abs=1e-3)
    assert found["lenient"]["low"] == pytest.approx(100 * expected.low, abs=1.0)  # posts in another order
    assert row(summarise(table, runs, results), "text_only")["against_baseline"] is None


def test_posts_are_matched_by_name_not_by_position(made):
    table, runs, results = made
    before = row(summarise(table, runs, results), "evidential")["against_baseline"]
    outcomes = results[runs[0].id]["outcomes"]
    outcomes["posts"].reverse()
    for labels in outcomes["counts"].values():
        for columns in labels.values():
            for column in columns:
                column.reverse()
    assert row(summarise(table, runs, results), "evidential")["against_baseline"] == before


def test_instances_of_one_post_are_resampled_together(made):
    table, runs, results = made
    before = row(summarise(table, runs, results), "evidential")["against_baseline"]["lenient"]
    for result in results.values():
        result["outcomes"]["posts"] = [f"p{i % 2}" for i in range(POSTS)]
    after = row(summarise(table, runs, results), "evidential")["against_baseline"]["lenient"]
    assert after["value"] == before["value"]
    assert (after["low"], after["high"]) != (before["low"], before["high"])


def test_only_seeds_that_both_have_are_compared(made):
    table, runs, results = made
    del results[next(run.id for run in runs if run.name == "tweets/text_only/2")]
    summary = summarise(table, runs, results)
    assert row(summary, "evidential")["against_baseline"]["seeds"] == [1]
    assert summary["missing"] == ["tweets/text_only/2"]
    assert "tweets/text_only/2" in render([summary])


def test_a_table_without_results_is_still_a_page(made):
    table, runs, _ = made
    assert "Not finished" in render([summarise(table, runs, {})])


def test_the_summary_holds_no_counts_of_posts(made):
    table, runs, results = made
    text = json.dumps(summarise(table, runs, results))
    assert "outcomes" not in text
    assert '"p1"' not in text


# --- page --------------------------------------------------------------------------------------------


def cells(page: str, first: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {first} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_shows_the_values(made):
    table, runs, results = made
    summary = summarise(table, runs, results)
    page = render([summary])
    head, found = cells(page, "method"), cells(page, "Evidential")
    shown = dict(zip(head, found, strict=True))
    score = row(summary, "evidential")["scores"]
    assert (
        shown["F1 lenient"]
        == f"{score['lenient']['all']['f1']['mean']:.2f} ± {score['lenient']['all']['f1']['sd']:.2f}"
    )
    assert shown["F1 strict"].startswith(f"{score['strict']['all']['f1']['mean']:.2f}")
    against = row(summary, "evidential")["against_baseline"]["lenient"]
    assert shown["Δ lenient to text_only [95 %]"].startswith(f"{against['value']:+.2f} [")
    assert (shown["modalities"], shown["parameters"], shown["trained"], shown["time"]) == (
        "text, alt_text", "2.00 M", "1.00 M", "1.30 ×",
    )  # fmt: skip
    assert "Tweets (test)" in page
    assert "written by hand" in page
    assert "10,000 resamples" in page
    assert "`abababababababab`" in page


def test_the_page_says_where_scores_are_on_dev(table_file: Path, made):
    text = table_file.read_text(encoding="utf-8")
    table_file.write_text(text.replace('report = "test.jsonl"', 'report = "dev.jsonl"'), encoding="utf-8")
    table = read_table(table_file)
    runs = runs_of(table)
    results = {run.id: made_up(run, 0.5, 1.0) for run in runs}
    assert "Tweets (dev; epoch chosen on it)" in render([summarise(table, runs, results)])


def test_the_page_shows_the_typed_majority_baseline_of_relations(table_file: Path):
    text = table_file.read_text(encoding="utf-8").replace('report = "test.jsonl"', 'report = "dev.jsonl"')
    table_file.write_text(text.replace('title = "Tweets"', 'task = "relations"'), encoding="utf-8")
    table = read_table(table_file)
    runs = runs_of(table)
    baseline = {"all": {"precision": 11.0, "recall": 12.0, "f1": 13.0, "gold": 5, "accuracy": 14.0}}
    results = {run.id: made_up(run, 0.5, 1.0) for run in runs}
    for result in results.values():
        counts = result["outcomes"]["counts"]
        pairs = [[1] * POSTS] * 3
        result["outcomes"]["counts"] = {
            "accuracy": {"pairs": pairs},
            "micro": counts["lenient"],
        }  # no relation first
        result["dev"] = {"data/train.jsonl": {"model": {}, "typed majority": baseline}}
    page = render([summarise(table, runs, results)])
    shown = dict(zip(cells(page, "method"), cells(page, "typed majority"), strict=True))
    assert (shown["P"], shown["R"], shown["F1 micro"], shown["accuracy"]) == (
        "11.00",
        "12.00",
        "13.00",
        "14.00",
    )
    assert (
        dict(zip(cells(page, "method"), cells(page, "Evidential"), strict=True))["accuracy"]
        == "100.00 ± 0.00"
    )
    # The baseline is known on dev only: another reported file has none.
    next(iter(results.values()))["data"]["report"] = {
        **results[runs[0].id]["data"]["report"],
        "sha256": "0" * 64,
    }
    assert "typed majority" not in render([summarise(table, runs, results)])


def test_a_page_is_rendered_again_from_the_files(made, tmp_path: Path):
    from twofold.cli.main import main

    summary = summarise(*made)
    (tmp_path / "t.json").write_text(json.dumps(summary), encoding="utf-8")
    assert main(["reproduce", "--render", str(tmp_path / "t.json"), "-o", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == render([summary])


def test_the_committed_page_is_made_of_the_committed_results():
    folder = Path(__file__).parents[2] / "benchmarks"
    if not (folder / "RESULTS.md").exists():
        pytest.skip("no page of results yet")
    page = (folder / "RESULTS.md").read_text(encoding="utf-8")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "results").glob("*.json")]
    tables = [summary for summary in found if "bootstrap" in summary and "table" in summary]
    assert render(sorted(tables, key=lambda summary: page.index(f"## {summary['title']}"))) == page
