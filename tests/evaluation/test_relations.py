"""Relation scores against scikit-learn, and the baseline by types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.evaluation.relations import NONE, RelationCounter, TypeMajorityBaseline

LABELS = [NONE, "/loc/loc/contain", "/per/org/member_of", "/per/per/peer"]
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=60)


def counted(pairs: list[tuple[str, str]]) -> RelationCounter:
    counter = RelationCounter()
    for gold, predicted in pairs:
        counter.add(gold, predicted)
    return counter


@settings(deadline=None)  # the first import of scikit-learn takes a second
@given(PAIRS)
def test_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    scores = counted(pairs).scores()
    micro = metrics.precision_recall_fscore_support(
        gold, predicted, labels=LABELS[1:], average="micro", zero_division=0
    )
    assert (scores.overall.precision, scores.overall.recall) == pytest.approx(micro[:2])
    assert scores.overall.f1 == pytest.approx(micro[2])
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(gold, predicted))
    seen = sorted({*gold, *predicted} - {NONE})
    assert list(scores.relations) == seen
    each = metrics.precision_recall_fscore_support(gold, predicted, labels=LABELS, zero_division=0)
    for name, score in scores.relations.items():
        found = (score.precision, score.recall, score.f1, score.gold)
        assert found == pytest.approx([column[LABELS.index(name)] for column in each])


def test_memory_grows_with_the_classes_and_not_with_the_pairs() -> None:
    counter = counted([(NONE, NONE)] * 5000 + [(LABELS[1], NONE)] * 10)
    assert len(counter._counts) == 2
    assert counter.scores().pairs == 5010
    assert counter.scores().overall.f1 == 0


def test_nothing_counted() -> None:
    scores = RelationCounter().scores()
    assert (scores.accuracy, scores.overall.f1, dict(scores.relations)) == (0, 0, {})


def test_majority_by_types() -> None:
    seen = [(("PER", "ORG"), NONE)] * 3 + [(("PER", "ORG"), "member")] * 2 + [(("PER", "ORG"), "founder")]
    seen += [(("LOC", "LOC"), "contain")] * 2 + [(("LOC", "LOC"), NONE)] + [(("ORG", "ORG"), NONE)]
    plain, related = TypeMajorityBaseline(seen), TypeMajorityBaseline(seen, ignore_none=True)
    pairs = [("PER", "ORG"), ("LOC", "LOC"), ("ORG", "ORG"), ("MISC", "MISC")]
    assert [plain.predict(types) for types in pairs] == [NONE, "contain", NONE, NONE]
    assert [related.predict(types) for types in pairs] == ["member", "contain", NONE, NONE]


def test_equally_frequent_relations_give_the_first_by_name() -> None:
    assert TypeMajorityBaseline([(("A", "B"), "y"), (("A", "B"), "x")]).predict(("A", "B")) == "x"
