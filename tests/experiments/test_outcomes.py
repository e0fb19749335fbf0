"""Counts of posts add up to the counts of the scorer."""

from __future__ import annotations

from pathlib import Path

import tiny_model

import twofold
from twofold.evaluation.relations import RelationCounter
from twofold.evaluation.spans import LenientAndStrictCounter
from twofold.experiments.outcomes import Outcomes, count_posts, hashed
from twofold.posts import Entity, Post, Relation


def post(number: int, text: str, *entities: tuple[int, int, str, bool]) -> Post:
    gold = tuple(Entity(s, e, text[s:e], label, well_formed=good) for s, e, label, good in entities)
    return Post(number, text, entities=gold)


POSTS = [
    post(1, "Ada in paris", (0, 3, "PER", True), (7, 12, "LOC", True)),
    post(2, "nothing here"),
    post(3, "Grace Hopper met NASA", (0, 5, "PER", False), (17, 21, "ORG", False)),
    post(4, "to paris", (3, 8, "EVENT", True)),
]


def test_sums_are_those_of_the_scorer(tmp_path: Path) -> None:
    extractor = twofold.load(tiny_model.build(tmp_path / "m"))
    outcomes = count_posts("entities", extractor.pipeline, POSTS)
    scorer = LenientAndStrictCounter()
    for item, extraction in zip(POSTS, extractor.extract(POSTS), strict=True):
        gold = [((e.start, e.end, e.type), e.well_formed) for e in item.entities or ()]
        scorer.add(gold, [((e.start, e.end, e.type), e.well_formed) for e in extraction.entities])
    for metric, counter in (("lenient", scorer.lenient), ("strict", scorer.strict)):
        scores = {label: (s.correct, s.predicted, s.gold) for label, s in counter.scores().types.items()}
        expected = {label: counts for label, counts in scores.items() if any(counts)}
        labels = outcomes.counts[metric]
        assert {label: tuple(map(sum, columns)) for label, columns in labels.items()} == expected
        assert expected["LOC"] == (1, 2, 1)
        assert all(len(column) == len(POSTS) for columns in labels.values() for column in columns)


def test_relations_are_counted_pair_by_pair(tmp_path: Path) -> None:
    text = "Anna Smith joined NASA in paris"
    anna, nasa, paris = (
        Entity(text.index(x), text.index(x) + len(x), x, "") for x in ("Anna Smith", "NASA", "paris")
    )
    given = [
        Post(1, text, relations=(Relation(anna, nasa, "/per/org/member_of"), Relation(anna, paris, "None"))),
        Post(
            2, text + " 0", relations=(Relation(anna, nasa, "None"), Relation(anna, paris, "/per/per/peer"))
        ),
    ]
    tagger = tiny_model.build(tmp_path / "t")
    extractor = twofold.load(tagger, relation_model=tiny_model.build_relations(tmp_path / "r"))
    outcomes = count_posts("relations", extractor.pipeline, given)
    scorer = RelationCounter()
    for post, found in zip(given, extractor.pipeline.classify_gold_pairs(given), strict=True):
        for gold, predicted in zip(post.relations or (), found.relations, strict=True):
            scorer.add(gold.type, predicted.type)
    scores = scorer.scores()
    micro = {label: tuple(map(sum, columns)) for label, columns in outcomes.counts["micro"].items()}
    assert micro == {k: (s.correct, s.predicted, s.gold) for k, s in scores.relations.items()}
    assert micro["/per/org/member_of"] == (1, 2, 1)  # the predicted types allow it everywhere
    assert [sum(column) for column in outcomes.counts["accuracy"]["pairs"]] == [scores.right, 4, 4]
    assert len(set(outcomes.posts)) == 2  # pairs of one post are resampled together


def test_counts_are_aligned_with_their_posts() -> None:
    outcomes = Outcomes()
    outcomes.add("1", {"lenient": {}})
    outcomes.add("2", {"lenient": {"PER": (1, 2, 3)}})
    outcomes.add("3", {"lenient": {"LOC": (4, 5, 6)}})
    assert outcomes.counts == {
        "lenient": {"PER": [[0, 1, 0], [0, 2, 0], [0, 3, 0]], "LOC": [[0, 0, 4], [0, 0, 5], [0, 0, 6]]}
    }
    assert outcomes.posts == [hashed("1"), hashed("2"), hashed("3")]


def test_ids_are_hashed() -> None:
    assert "harry" not in hashed("harry-2017-05-01")
    assert hashed("1") != hashed("2")
