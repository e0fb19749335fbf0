"""Span scores against seqeval, on random tags and on real files."""

from __future__ import annotations

import random
import warnings

import pytest

from twofold.corpora.bio import spans_of
from twofold.evaluation.spans import LenientAndStrictCounter, SpanCounter, SpanScore

default = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval is not installed")
strict_mode = pytest.importorskip("seqeval.metrics.v1", reason="seqeval is not installed")
IOB2 = pytest.importorskip("seqeval.scheme", reason="seqeval is not installed").IOB2

TAGS = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


def count(gold, predicted):
    counts = LenientAndStrictCounter()
    for g, p in zip(gold, predicted, strict=True):
        counts.add(*([(s[:3], s.well_formed) for s in spans_of(tags)] for tags in (g, p)))
    return counts.lenient.scores(), counts.strict.scores()


def by_default(gold, predicted, average):
    return default.precision_recall_fscore_support(gold, predicted, average=average)


def by_strict_iob2(gold, predicted, average):
    return strict_mode.precision_recall_fscore_support(gold, predicted, average=average, scheme=IOB2)


def theirs(score, gold, predicted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types without a prediction
        return score(gold, predicted, "micro")[:3], list(zip(*score(gold, predicted, None), strict=True))


def assert_same(ours, theirs):
    overall, by_type = theirs
    assert (ours.overall.precision, ours.overall.recall, ours.overall.f1) == pytest.approx(overall)
    found = [(s.precision, s.recall, s.f1, s.gold) for s in ours.types.values()]
    assert found == [pytest.approx(row) for row in by_type]


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_seqeval_on_random_tags(seed):
    rng = random.Random(seed)
    lengths = [rng.randint(1, 12) for _ in range(30)]
    gold = [rng.choices(TAGS, k=n) for n in lengths]
    predicted = [[t if rng.random() < 0.7 else rng.choice(TAGS) for t in row] for row in gold]
    lenient, strict = count(gold, predicted)
    assert_same(lenient, theirs(by_default, gold, predicted))
    assert_same(strict, theirs(by_strict_iob2, gold, predicted))


@pytest.mark.parametrize("name", ["twitter2015/valid.txt", "twitter2017/valid.txt"])
def test_agrees_with_seqeval_on_real_files(shared, name):
    posts: list[list[str]] = [[]]
    for line in (shared / "data" / name).read_text(encoding="utf-8").split("\n"):
        if "\t" in line:
            posts[-1].append(line.rstrip("\r").split("\t")[-1])
        elif posts[-1]:
            posts.append([])
    gold = [post for post in posts if post]
    rng = random.Random(name)
    predicted = [[t if rng.random() < 0.9 else "O" for t in row] for row in gold]
    lenient, strict = count(gold, predicted)
    assert_same(lenient, theirs(by_default, gold, predicted))
    assert_same(strict, theirs(by_strict_iob2, gold, predicted))
    if "2015" in name:
        assert lenient.overall.gold - strict.overall.gold == 53


def test_no_posts_and_no_spans():
    scores = SpanCounter().scores()
    assert scores.overall == SpanScore(0, 0, 0)
    assert (scores.overall.precision, scores.overall.recall, scores.overall.f1) == (0, 0, 0)
    assert scores.types == {}


def test_duplicate_spans_count_once():
    counter = SpanCounter()
    counter.add([(0, 1, "PER"), (0, 1, "PER")], [(0, 1, "PER"), (0, 1, "PER"), (0, 1, "LOC")])
    assert counter.scores().overall == SpanScore(correct=1, predicted=2, gold=1)
    assert list(counter.scores().types) == ["LOC", "PER"]
