"""Does each fusion use its picture? Evaluation on the controlled synthetic set, with the embedded encoders.

    python benchmarks/controlled.py [--tasks entities relations] [--fusions …] [--epochs 16] [--seed 1]

Writes the set (`twofold.synthetic.controlled`) into a temporary folder, trains every fusion on it by
`twofold.training.run.train` with the options of configs/comparison.toml, and predicts on the test posts with
the exported folder. Accuracy is the fraction of posts whose only entity, or pair, is predicted with its type.
Uncertainty is the sum of aleatoric and epistemic, averaged over posts. Writes results/controlled.json and
controlled.md after each model; models that have results are not trained again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import twofold
from twofold.config import Config, DataConfig, read_config
from twofold.corpora import open_corpus
from twofold.models.build import FUSIONS
from twofold.pipeline.extractor import Extractor
from twofold.posts import Entity, Post, Relation
from twofold.synthetic.controlled import TASKS, write_controlled
from twofold.training.run import train

HERE = Path(__file__).parent
OUT = HERE / "results" / "controlled.json"
BASE = HERE.parent / "configs" / "comparison.toml"
CONDITIONS: Mapping[str, str] = {
    "matched": "ambiguous, matched picture",
    "no_picture": "ambiguous, no picture",
    "blank": "ambiguous, blank",
    "mismatched": "ambiguous, mismatched",
    "unambiguous": "unambiguous, matched",
    "unambiguous_mismatched": "unambiguous, mismatched",
}


def main() -> None:
    """Train and evaluate the models that have no results yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--fusions", nargs="+", choices=FUSIONS, default=sorted(FUSIONS))
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    results = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for task in args.tasks:
            write_controlled(Path(folder) / task, task, seed=args.seed)
            for fusion in args.fusions:
                key = f"{task}, {fusion}, seed {args.seed}, {args.epochs} epochs"
                if key not in results:
                    config = configuration(Path(folder) / task, task, fusion, args.epochs, args.seed)
                    results[key] = evaluate(config, Path(folder))
                    write(results)


def configuration(data: Path, task: str, fusion: str, epochs: int, seed: int) -> Config:
    """The configuration of the comparisons, on this set, with pictures as the only other modality."""
    base = read_config(BASE)
    options = replace(base.model.relations, markers="untyped", tagger="")
    return Config(
        DataConfig((str(data / "train.jsonl"),), (str(data / "dev.jsonl"),)),
        replace(
            base.model,
            task=task,
            fusion=fusion,
            modalities=("picture",),
            weights="float32",
            relations=options,
        ),
        replace(base.training, epochs=epochs, patience=0, seed=seed),
    )


def evaluate(config: Config, folder: Path) -> dict[str, Any]:
    """Metrics of one model by condition."""
    name = f"{config.model.task}-{config.model.fusion}"
    model = twofold.load(train(config, folder / name, lambda line: print(f"{name}: {line}", file=sys.stderr)))
    return {
        condition: metrics_of(model, folder / config.model.task / f"{condition}.jsonl", config.model.task)
        for condition in CONDITIONS
    }


def metrics_of(model: Extractor, file: Path, task: str) -> dict[str, float]:
    """Accuracy in per cent, mean confidence, and mean uncertainty where the model has one."""
    posts = [post for post in open_corpus(file) if isinstance(post, Post)]
    pairs = list(zip(posts, _predict(model, posts, task), strict=True))
    found = [item for _, items in pairs for item in items]
    result = {
        "accuracy": 100
        * statistics.mean(_typed_spans(items) == _typed_spans(_gold(post, task)) for post, items in pairs),
        "confidence": statistics.mean(item.confidence or 0.0 for item in found),
    }
    uncertainties = [x.aleatoric + x.epistemic for x in (item.uncertainty for item in found) if x is not None]
    result |= {"uncertainty": statistics.mean(uncertainties)} if uncertainties else {}
    return {name: round(value, 4) for name, value in result.items()}


def _predict(model: Extractor, posts: Sequence[Post], task: str) -> Iterator[Sequence[Entity | Relation]]:
    if task == "relations":
        yield from (pairs.relations for pairs in model.pipeline.classify_gold_pairs(posts))
        return
    yield from (extraction.entities for extraction in model.extract(posts))


def _gold(post: Post, task: str) -> Sequence[Entity | Relation]:
    return (post.relations if task == "relations" else post.entities) or ()


def _typed_spans(items: Sequence[Entity | Relation]) -> list[tuple[int, int, str]]:
    spans = [(item, item if isinstance(item, Entity) else item.head) for item in items]
    return [(span.start, span.end, item.type) for item, span in spans]


def write(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Write the JSON file and its table."""
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")
    lines = [
        "<!-- written by benchmarks/controlled.py -->",
        "Accuracy in per cent; for evidential models, the uncertainty after the slash.",
        "",
        "| model | " + " | ".join(CONDITIONS.values()) + " |",
        "|---" * (len(CONDITIONS) + 1) + "|",
    ]
    for name, row in sorted(results.items()):
        lines.append(f"| {name} | " + " | ".join(_cell(row[condition]) for condition in CONDITIONS) + " |")
    OUT.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _cell(metrics: Mapping[str, float]) -> str:
    accuracy = f"{metrics['accuracy']:.1f}"
    return f"{accuracy} / {metrics['uncertainty']:.3f}" if "uncertainty" in metrics else accuracy


if __name__ == "__main__":
    main()
