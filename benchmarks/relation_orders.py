"""Evaluate relations of trained model folders: on gold pairs, in the order of the data and in both orders,
with the threshold of the model and with the most probable class; and end to end.

    python benchmarks/relation_orders.py --data DATA
    python benchmarks/relation_orders.py --data DATA runs/seed1 runs/seed2 runs/seed3

DATA holds mnre/mnre_val.txt, captions/captions.tsv and pictures/standins/; without folders the shipped model
is evaluated. Prints F1 and accuracy in per cent for each folder, and mean ± sample standard deviation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev

from scores import posts_of

import twofold
from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.evaluation.relations import RelationCounter, RelationScores
from twofold.pipeline.extractor import Extractor
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Post
from twofold.training.argument_order import both_orders


def main() -> None:
    """Print one line per order and decision rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("folders", nargs="*", type=Path, help="model folders (default: the shipped model)")
    args = parser.parse_args()
    found: dict[str, list[float]] = {}
    for folder in args.folders or [None]:
        for name, score in _scores(twofold.load(folder), posts_of(args.data, "mnre/mnre_val.txt")):
            found.setdefault(name, []).append(100 * score)
    for name, values in found.items():
        summary = f": {mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else ""
        print(f"{name} {', '.join(f'{value:.2f}' for value in values)}{summary}")


def _scores(extractor: Extractor, posts: Sequence[Post]) -> Iterator[tuple[str, float]]:
    pipeline = extractor.pipeline
    given = list(merge_posts_of_one_text(posts))
    orders = {"in the order of the data": given, "in both orders": both_orders(given, pipeline.symmetric)}
    found = twofold.evaluate(extractor, posts).to_json()["relations"]["end_to_end"]
    yield "end to end, annotated pairs: F1", found["strict_annotated"]["f1"]
    yield "end to end, all pairs: F1", found["strict"]["f1"]
    rules = {"above the threshold of the model": pipeline.relation_rule, "by the most probable class": None}
    for decided, rule in rules.items():
        pipeline.relation_rule = rule
        for order, some in orders.items():
            scores = _of_gold_pairs(pipeline, some)
            yield f"gold pairs, {order}, {decided}: F1", scores.overall.f1
            yield f"gold pairs, {order}, {decided}: accuracy", scores.accuracy


def _of_gold_pairs(pipeline: InferencePipeline, posts: Sequence[Post]) -> RelationScores:
    counter = RelationCounter()
    for post, row in zip(posts, pipeline.classify_gold_pairs(posts), strict=True):
        for gold, found in zip(post.relations or (), row.relations, strict=True):
            counter.add(gold.type, found.type)
    return counter.scores()


if __name__ == "__main__":
    main()
