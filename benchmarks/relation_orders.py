"""Relations of the shipped model between gold pairs, in the order of the data and in both orders, with the
threshold of the model and by the most probable class.

    python benchmarks/relation_orders.py --data DATA

DATA holds mnre/mnre_val.txt, captions/captions.tsv and pictures/standins/. It prints F1 and
accuracy in per cent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from scores import posts_of

import twofold
from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.evaluation.relations import RelationCounter, RelationScores
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Post
from twofold.training.argument_order import both_orders


def main() -> None:
    """Print a line for each order and rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=None, help="model folder (default: the shipped model)")
    args = parser.parse_args()
    pipeline = twofold.load(args.model).pipeline
    given = list(merge_posts_of_one_text(posts_of(args.data, "mnre/mnre_val.txt")))
    orders = {"in the order of the data": given, "in both orders": both_orders(given, pipeline.symmetric)}
    for rule in (pipeline.relation_rule, None):
        pipeline.relation_rule = rule
        decided = "by the most probable class" if rule is None else f"above {rule.threshold:g}"
        for order, posts in orders.items():
            scores = _scores(pipeline, posts)
            f1, accuracy = 100 * scores.overall.f1, 100 * scores.accuracy
            print(f"{order}, {decided}: F1 {f1:.2f}, accuracy {accuracy:.2f}")


def _scores(pipeline: InferencePipeline, posts: Sequence[Post]) -> RelationScores:
    counter = RelationCounter()
    for post, row in zip(posts, pipeline.classify_gold_pairs(posts), strict=True):
        for gold, found in zip(post.relations or (), row.relations, strict=True):
            counter.add(gold.type, found.type)
    return counter.scores()


if __name__ == "__main__":
    main()
