"""Scores of trained model folders on the public data sets, with and without each modality, and on changed
posts (case, typos, links).

    python benchmarks/scores.py --data DATA runs/seed1 runs/seed2 runs/seed3

DATA holds twitter2015/, twitter2017/, btc/, tweebank/, wnut17/, captions/captions.tsv and pictures/standins/.
Each set is evaluated under the annotation convention of its corpus. Every folder is one seed of one
configuration; scores are means over seeds with the sample standard deviation. Writes
benchmarks/results/default.json, or the file given with -o. Nothing is chosen on these scores: the shipped
seed was chosen on dev.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import twofold
from twofold.config import AugmentationConfig
from twofold.corpora import open_corpus
from twofold.corpora.releases import md5_of
from twofold.evaluation.calibration_error import calibration_error
from twofold.evaluation.comparison import comparable_extraction, spans
from twofold.evaluation.spans import LenientAndStrictCounter
from twofold.pipeline.extractor import Extractor
from twofold.posts import Post
from twofold.training.augmentation import augmented

SETS = {
    "twitter2017 dev": "twitter2017/valid.txt",
    "twitter2017 test": "twitter2017/test.txt",
    "twitter2015 dev": "twitter2015/valid.txt",
    "btc dev": "btc/btc.dev.conll",
    "tweebank dev": "tweebank/dev.bio",
    "wnut17 test": "wnut17/emerging.test.annotated",
}
"""Files by name; the folder is the corpus."""
TYPES = {"btc": {"MISC": ""}}
"""Type maps; model types that a corpus does not annotate are dropped."""
REWRITTEN = {
    "twitter2017 test": {"a link more or less": AugmentationConfig(links=1)},
    "twitter2015 dev": {
        "a link more or less": AugmentationConfig(links=1),
        "lower case": AugmentationConfig(lower_case=1),
        "upper case": AugmentationConfig(upper_case=1),
        "no punctuation": AugmentationConfig(no_punctuation=1),
        "typos": AugmentationConfig(typos=1),
    },
}
"""Changes by set, each applied to all of its posts, text only."""
SETTINGS = {
    "text only": (),
    "text, alt text": ("alt_text",),
    "text, picture": ("picture",),
    "all modalities": ("picture", "alt_text"),
}
OUT = Path(__file__).parent / "results" / "default.json"


def main() -> None:
    """Score all folders on all sets in all settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="keep features of pictures here")
    parser.add_argument("-o", "--output", type=Path, default=OUT, help="JSON file to write")
    args = parser.parse_args()
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    for folder in args.folders:
        for name, setting, scores in _run(folder, args):
            runs.setdefault(name, {}).setdefault(setting, []).append(scores)
            print(f"{folder.name}  {name}  {setting}  lenient F1 {scores['lenient_f1']:.2f}", flush=True)
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(json.dumps(_report(args, runs), indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"written: {args.output.name}")


def _run(folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, float]]]:
    for name, file in SETS.items():
        corpus, posts = file.partition("/")[0], posts_of(args.data, file)
        extractor = twofold.load(folder, cache=args.cache, convention=corpus, relation_model=False)
        attached = any(post.alt_text or post.image for post in posts)
        plain = [with_modalities(post, ()) for post in posts]
        rewritten = {how: augmented(plain, change, 1, 0) for how, change in REWRITTEN.get(name, {}).items()}
        kept = {
            s: [with_modalities(post, sources) for post in posts]
            for s, sources in SETTINGS.items()
            if attached
        }
        for setting, given in ({"text only": plain} | kept | rewritten).items():
            yield name, setting, score(extractor, given, TYPES.get(corpus, {}))


def posts_of(data: Path, file: str) -> list[Post]:
    """The posts of a file of the data folder, with stand-in pictures and captions."""
    records = open_corpus(
        data / file, images=data / "pictures" / "standins", alt_text=data / "captions" / "captions.tsv"
    )
    return [record for record in records if isinstance(record, Post)]


def with_modalities(post: Post, sources: Sequence[str]) -> Post:
    """The post with only these modalities in addition to its text."""
    image = post.image if "picture" in sources else None
    return replace(post, image=image, alt_text=post.alt_text if "alt_text" in sources else None)


def score(extractor: Extractor, posts: Sequence[Post], types: Mapping[str, str]) -> dict[str, float]:
    """Scores in per cent and calibration error of a model on posts; ``types`` renames predicted types."""
    counts = LenientAndStrictCounter()
    confidences: list[float] = []
    right: list[bool] = []
    for post, extraction in zip(posts, extractor.extract(posts), strict=True):
        entities = comparable_extraction(post, extraction, types).entities
        gold, found = spans(post.entities or ()), spans(entities)
        counts.add(gold, found)
        gold_spans = {span for span, _ in gold}
        right += [span in gold_spans for span, _ in found]
        confidences += [e.confidence or 0.0 for e in entities]
    lenient, strict = counts.lenient.scores(), counts.strict.scores()
    figures = {
        "lenient_p": lenient.overall.precision,
        "lenient_r": lenient.overall.recall,
        "lenient_f1": lenient.overall.f1,
        "strict_f1": strict.overall.f1,
        **{f"lenient_f1_{kind}": score.f1 for kind, score in lenient.types.items()},
    }
    error = calibration_error(np.array(confidences), np.array(right))
    return {name: round(100 * value, 3) for name, value in figures.items()} | {"span_ece": round(error, 4)}


def _report(args: argparse.Namespace, runs: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, Any]:
    names = " ".join(folder.name for folder in args.folders)
    return {
        "command": f"python benchmarks/scores.py --data DATA {names}"
        + ("" if args.output == OUT else f" -o {args.output.name}"),
        "pictures": "stand-ins (Flickr photographs chosen by caption similarity)",
        "alt_text": "machine captions of the real pictures",
        "data_md5": {name: md5_of(args.data / file) for name, file in SETS.items()},
        "versions": {p: version(p) for p in ("twofold", "onnxruntime", "numpy", "tokenizers", "pillow")}
        | {"python": platform.python_version()},
        "seeds": [json.loads((f / "card.json").read_text(encoding="utf-8"))["seed"] for f in args.folders],
        "scores": {
            name: {setting: _summary(rows) for setting, rows in settings.items()}
            for name, settings in runs.items()
        },
    }


def _summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    return {
        key: {
            "mean": round(mean(row[key] for row in rows), 3),
            "sd": round(stdev(row[key] for row in rows), 3) if len(rows) > 1 else None,
            "runs": [row[key] for row in rows],
        }
        for key in rows[0]
    }


if __name__ == "__main__":
    main()
