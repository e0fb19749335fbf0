"""Evaluate taggers on a corpus that they were not trained on: each of the five corpora is left out in turn.

    python benchmarks/leave_one_out.py --data DATA -o OUT [--seeds 1 2 3] [--epochs N] [--runs NAME …]

Trains taggers as configured in configs/default.toml, on text alone: one on all corpora, and one without each;
and, for comparison, on Twitter-2015 or Twitter-2017 alone. A left-out corpus is scored under its two rules
(mentions, hashtags), since the model does not know it by name.
The texts of all files scored here are left out of every training. Finished trainings are kept in OUT,
interrupted ones resume. Writes benchmarks/results/leave_one_out.json; existing rows are kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scores import SETS, TYPES, posts_of, score, with_modalities
from trust_of_runs import mean_with_sd

import twofold
from twofold.config import Config, read_config

CONFIG = Path(__file__).parents[1] / "configs" / "default.toml"
OUT = Path(__file__).parent / "results" / "leave_one_out.json"
EVERY = "none"
"""Name of the training on all corpora, where none is left out."""
OTHER = {"twitter2015": "only twitter2017", "twitter2017": "only twitter2015"}
"""Names of the trainings on a single corpus, by the other corpus, on which they are scored."""
SCORED = {name.partition(" ")[0]: (name, file) for name, file in SETS.items() if name != "twitter2017 test"}
"""Name of the set and file on which each corpus is scored."""

NAMES = (EVERY, *SCORED, *OTHER.values())
"""Names of trainings; the name of a corpus is that of the training without it."""

Figures = dict[str, float]


def main() -> None:
    """Train and score the missing runs, then write and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--runs", nargs="+", choices=NAMES, default=NAMES)
    args = parser.parse_args()
    runs: dict[str, Any] = json.loads(OUT.read_text("utf-8"))["runs"] if OUT.is_file() else {}
    for seed in args.seeds:
        for run in args.runs:
            name = f"{run}/{args.epochs} epochs/{seed}"
            if name not in runs:
                folder = args.out / f"{run.replace(' ', '-')}-{args.epochs}-{seed}"
                config = settings(read_config(CONFIG), args.data, run, args.epochs, seed)
                if not (folder / "manifest.json").is_file():
                    twofold.train(config, folder)
                runs[name] = dict(_scores(folder, config, args.data, run))
                _write(runs, args.epochs)
    print(page(runs, args.epochs))


def settings(base: Config, data: Path, run: str, epochs: int, seed: int) -> Config:
    """The configuration of one training, by its name."""

    def here(files: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(data / Path(file).parent.name / Path(file).name) for file in files)

    corpora = tuple(
        replace(corpus, train=here(corpus.train), dev=here(corpus.dev))
        for corpus in base.data.corpora
        if (run == f"only {corpus.name}" if run in OTHER.values() else run != corpus.name)
    )
    held_out = tuple(str(data / file) for file in SETS.values())
    words = replace(base.model.words, convention="")
    return replace(
        base,
        data=replace(base.data, corpora=corpora, held_out=held_out, images="", alt_text=""),
        model=replace(base.model, words=words, fusion="text_only", modalities=()),
        training=replace(base.training, epochs=epochs, seed=seed),
    )


def _scores(folder: Path, config: Config, data: Path, run: str) -> Iterator[tuple[str, float]]:
    """Lenient F1 by corpus and by how its convention is given to the model."""
    rules = {corpus.name: corpus for corpus in read_config(CONFIG).data.corpora}
    known = {corpus.name for corpus in config.data.corpora}
    for corpus, (name, file) in SCORED.items():
        if (corpus in known) != (run == EVERY):
            continue
        posts = [with_modalities(post, ()) for post in posts_of(data, file)]
        own = rules[corpus]
        extractors = {"rules": twofold.load(folder, mentions=own.mentions, hashtags=own.hashtags)}
        if corpus in known:
            extractors["name"] = twofold.load(folder, convention=corpus)
        for how, extractor in extractors.items():
            yield f"{name}, by its {how}", score(extractor, posts, TYPES.get(corpus, {}))["lenient_f1"]


def _write(runs: Mapping[str, Figures], epochs: int) -> None:
    report = {
        "command": f"python benchmarks/leave_one_out.py --data DATA -o OUT --epochs {epochs}",
        "note": "Lenient F1, 8-bit graphs, text only; a run is named by what is left out, epochs and seed.",
        "runs": runs,
    }
    OUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8", newline="\n")


def page(runs: Mapping[str, Figures], epochs: int) -> str:
    """Table of the runs with this number of epochs: each corpus trained on (by name or rules) or left out."""
    lines = [
        "| Lenient F1 | trained on, by its name | by its rules | left out, by its rules | the other of "
        "Twitter-2015 and 2017 alone |",
        "|---|---:|---:|---:|---:|",
    ]
    for corpus, (name, _) in SCORED.items():
        by_name, by_rules = f"{name}, by its name", f"{name}, by its rules"
        cells = []
        alone = OTHER.get(corpus, "")
        for of, key in ((EVERY, by_name), (EVERY, by_rules), (corpus, by_rules), (alone, by_rules)):
            own = [found for run, found in runs.items() if run.startswith(f"{of}/{epochs} epochs/")]
            cells.append(mean_with_sd([found[key] for found in own if key in found]))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
