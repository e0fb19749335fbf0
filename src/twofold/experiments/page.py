"""A page of tables made from the values of `summary`, in Markdown. It computes nothing new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Plain = Mapping[str, Any]

HEAD = """# Results

Made by `twofold reproduce --render` from the JSON files in `results/`. Values are means over seeds, ± the
sample standard deviation. *Lenient* scores count every sequence of tags of one type as an entity, as
published scores do; *strict* scores leave out gold entities that do not begin with `B-`. The epoch is
chosen on dev alone; where the scores are on dev itself, the heading says so, and they are too optimistic.
Time is the processor time of one epoch, including evaluation on dev, divided by the baseline's with the
same seed on the same machine. Intervals and p-values are not corrected for the number of comparisons."""


def render(summaries: Sequence[Plain]) -> str:
    """One page for all tables."""
    return "\n\n".join([HEAD, *(section for summary in summaries for section in _table(summary))]) + "\n"


def _table(summary: Plain) -> Iterable[str]:
    yield f"## {summary['title']}"
    if summary["note"]:
        yield summary["note"]
    if summary["missing"]:
        yield f"**Not finished:** {', '.join(summary['missing'])}."
    for item in summary["data"]:
        if item["methods"]:
            yield from _data_set(summary, item)
    yield _made_with(summary)


def _data_set(summary: Plain, item: Plain) -> Iterable[str]:
    split = "dev; epoch chosen on it" if item["reported_on_dev"] else "test"
    yield f"### {item['title']} ({split})"
    yield f"Pictures: {item['pictures']}. Alt text: {item['descriptions']}."
    yield _main_rows(summary["baseline"], item)
    labels = _labels(item)
    if len(labels) > 1:
        yield _label_rows(item, labels)
    yield _file_rows(item)


def _main_rows(baseline: str, item: Plain) -> str:
    first, *others = _metrics(item)
    head = ["method", "modalities", "seeds", "P", "R", f"F1 {first}"]
    head += [f"F1 {metric}" if metric != "accuracy" else metric for metric in others]
    head += [f"Δ {first} to {baseline} [95 %]", "p", "parameters", "trained", "time"]
    rows = [_main_row(method, first, others) for method in item["methods"]]
    rows += [_majority_row(name, row, others, len(head)) for name, row in item["majority"].items()]
    return _markdown(head, rows)


def _main_row(method: Plain, first: str, others: Sequence[str]) -> list[str]:
    score = method["scores"][first]["all"]
    cells = [method["title"], ", ".join(["text", *method["modalities"]]), " ".join(map(str, method["seeds"]))]
    cells += [_mean_and_sd(score[name]) for name in ("precision", "recall", "f1")]
    cells += [_mean_and_sd(method["scores"][metric]["all"]["f1"]) for metric in others]
    return [*cells, *_difference(method["against_baseline"], first), *_costs(method)]


def _majority_row(name: str, row: Plain, others: Sequence[str], width: int) -> list[str]:
    scores = [f"{row[key]:.2f}" for key in ("precision", "recall", "f1")]
    cells = [name, "types", "–", *scores, *(f"{row[metric]:.2f}" for metric in others)]
    return [*cells, *["–"] * (width - len(cells))]


def _difference(against: Plain | None, metric: str) -> list[str]:
    if against is None:
        return ["–", "–"]
    found = against[metric]
    return [f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]", _p(found["p"])]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _costs(method: Plain) -> list[str]:
    count = method["parameters"]
    ratio = method["seconds"]["relative"]
    millions = [f"{count[name] / 1e6:.2f} M" for name in ("total", "trainable")]
    return [*millions, "–" if ratio is None else f"{ratio:.2f} ×"]


def _label_rows(item: Plain, labels: Sequence[str]) -> str:
    first = _metrics(item)[0]
    gold = item["methods"][0]["scores"][first]
    head = [f"F1 {first}", *(f"{label} ({gold[label]['gold'] if label in gold else 0})" for label in labels)]
    rows = []
    for method in item["methods"]:
        scores = method["scores"][first]
        rows.append(
            [method["title"], *(_mean_and_sd(scores[k]["f1"]) if k in scores else "–" for k in labels)]
        )
    return _markdown(head, rows)


def _file_rows(item: Plain) -> str:
    rows = [
        [x["part"], x["name"], x["release"], str(x["posts"]), str(x["rejected"]), f"`{x['sha256'][:16]}`"]
        for x in item["files"]
    ]
    return _markdown(["part", "file", "labels", "posts", "rejected", "SHA-256"], rows)


def _metrics(item: Plain) -> list[str]:
    return list(item["methods"][0]["scores"])


def _labels(item: Plain) -> list[str]:
    first = _metrics(item)[0]
    return sorted({label for method in item["methods"] for label in method["scores"][first]} - {"all"})


def _mean_and_sd(value: Plain) -> str:
    return f"{value['mean']:.2f}" + ("" if value["sd"] is None else f" ± {value['sd']:.2f}")


def _made_with(summary: Plain) -> str:
    bootstrap = summary["bootstrap"]
    versions = ", ".join(f"{k} {'/'.join(map(str, v))}" for k, v in summary["versions"].items())
    machine = ", ".join(f"{k} {'/'.join(map(str, v))}" for k, v in summary["machine"].items())
    code = (
        ""
        if len(summary["code"]) < 2
        else f" The runs were made by {len(summary['code'])} versions of the code."
    )
    return (
        f"Differences: {bootstrap['method']}; {bootstrap['resamples']:,} resamples. "
        f"Made with {versions}; {machine}.{code}"
    )


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
