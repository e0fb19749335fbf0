"""Span measures are compared with sums over all tag sequences, metrics with `twofold.evaluation`."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch")

from ensemble_uncertainty import ensemble_uncertainty
from span_comparison import EvaluationPosts, Row, mean_over_seeds, measures_of, metrics_with_intervals
from span_uncertainty import (
    CRFOutputs,
    MethodOutputs,
    ensemble,
    mean_outputs,
    mean_over_words,
    nig_measures,
    single_pass,
    tag_marginals,
)

from twofold.crf import TagSpan, allowed_transitions
from twofold.evaluation.calibration_error import brier_score
from twofold.evaluation.detection import detection_metrics
from twofold.evaluation.selective import aurc, risk_coverage_curve
from twofold.inference.uncertainty import uncertainty
from twofold.posts import Entity, Post

LABELS = ("O", "B-X", "I-X")
WORDS = 4


def crf_outputs(count: int = 3, posts: int = 2) -> list[CRFOutputs]:
    random = np.random.default_rng(5)
    return [
        CRFOutputs(
            LABELS,
            (random.normal(size=(3, 3)), random.normal(size=3), random.normal(size=3)),
            [random.normal(size=(WORDS, 3)) * 2 for _ in range(posts)],
        )
        for _ in range(count)
    ]


def sequences() -> Iterator[tuple[int, ...]]:
    moves, starts = allowed_transitions(LABELS)
    for tags in itertools.product(range(3), repeat=WORDS):
        if starts[tags[0]] and all(moves[a, b] for a, b in itertools.pairwise(tags)):
            yield tags


def distribution(crf: CRFOutputs, post: int = 0) -> dict[tuple[int, ...], float]:
    """Probability of every valid tag sequence."""
    moves, start, end = crf.potentials
    weights = {}
    for tags in sequences():
        score = start[tags[0]] + end[tags[-1]] + sum(moves[a, b] for a, b in itertools.pairwise(tags))
        weights[tags] = math.exp(score + sum(crf.emissions[post][i, tag] for i, tag in enumerate(tags)))
    total = sum(weights.values())
    return {tags: weight / total for tags, weight in weights.items()}


def contains_span(tags: tuple[int, ...], span: TagSpan) -> bool:
    inside = tags[span.start] == 1 and all(tag == 2 for tag in tags[span.start + 1 : span.end])
    return inside and (span.end == WORDS or tags[span.end] != 2)


SPANS = [[TagSpan(1, 3, "X"), TagSpan(3, 4, "X")], [TagSpan(0, 2, "X")]]
FLAT = [(post, span) for post, row in enumerate(SPANS) for span in row]


def probability(crf: CRFOutputs, post: int, span: TagSpan) -> float:
    return sum(p for tags, p in distribution(crf, post).items() if contains_span(tags, span))


def test_one_pass_gives_the_marginal_and_the_product_of_softmaxes() -> None:
    (crf,) = crf_outputs(1)
    outputs = single_pass("one", crf)
    expected = [probability(crf, post, span) for post, span in FLAT]
    np.testing.assert_allclose(outputs.confidences["CRF marginal"](SPANS, 1.0), expected)
    scores = np.exp(crf.emissions[0] / 2.5)
    scores /= scores.sum(1, keepdims=True)
    found = outputs.confidences["softmax of emissions"](SPANS, 2.5)
    assert found[0] == pytest.approx(scores[1, 1] * scores[2, 2])
    assert found[1] == pytest.approx(scores[3, 1])


def test_an_ensemble_gives_the_mixture_and_the_geometric_mean() -> None:
    members = crf_outputs()
    outputs = ensemble("all", members, 3)
    mixture = [np.mean([probability(crf, post, span) for crf in members]) for post, span in FLAT]
    np.testing.assert_allclose(outputs.confidences["mean of CRF marginals"](SPANS, 1.0), mixture)
    pooled = outputs.confidences["CRF marginal of mean scores"](SPANS, 1.0)
    best = {}
    for post in range(2):
        each = [distribution(crf, post) for crf in members]
        geometric = {tags: math.prod(p[tags] for p in each) ** (1 / 3) for tags in sequences()}
        total = sum(geometric.values())
        for i, (where, span) in enumerate(FLAT):
            if where == post:
                expected = sum(p for tags, p in geometric.items() if contains_span(tags, span)) / total
                assert pooled[i] == pytest.approx(expected)
        best[post] = max(geometric, key=lambda tags: geometric[tags])
    decoder = mean_outputs(members).decoder
    assert list(outputs.spans) == [decoder.spans_of(np.array(best[post])) for post in range(2)]


def test_uncertainties_of_an_ensemble_equal_those_of_its_enumerated_marginals() -> None:
    members = crf_outputs()
    outputs = ensemble("all", members, 3)
    tables = np.zeros((3, 2, WORDS, 3))
    for m, post in itertools.product(range(3), range(2)):
        for tags, p in distribution(members[m], post).items():
            tables[m, post, np.arange(WORDS), list(tags)] += p
    np.testing.assert_allclose([tag_marginals(crf) for crf in members], tables)
    parts = ensemble_uncertainty(tables)
    names = {"entropy of tags (total)": parts.total, "mean entropy of tags (aleatoric)": parts.aleatoric}
    names |= {"mutual information of tags (epistemic)": parts.epistemic}
    for name, values in names.items():
        expected = [values[post, span.start : span.end].mean() for post, span in FLAT]
        np.testing.assert_allclose(outputs.uncertainties[name](SPANS), expected)
    each = np.array([[probability(crf, post, span) for post, span in FLAT] for crf in members])
    expected = ensemble_uncertainty(np.stack([each, 1 - each], 2)).epistemic
    np.testing.assert_allclose(
        outputs.uncertainties["mutual information of the span (epistemic)"](SPANS), expected
    )


def test_members_that_agree_have_no_epistemic_uncertainty() -> None:
    (crf,) = crf_outputs(1)
    outputs = ensemble("all", [crf, crf], 1)
    for name, measure in outputs.uncertainties.items():
        assert name.endswith("(epistemic)") == (np.abs(measure(SPANS)).max() < 1e-12)
    one = single_pass("one", crf)
    assert list(outputs.spans) == list(one.spans)
    for confidence in outputs.confidences.values():
        np.testing.assert_allclose(confidence(SPANS, 0.7), one.confidences["CRF marginal"](SPANS, 0.7))


def test_nig_measures_are_sums_over_all_tags_and_values_at_the_predicted_tags() -> None:
    (crf,) = crf_outputs(1)
    nigs = [np.random.default_rng(post).uniform(1.5, 4, (4, WORDS, 3)) for post in range(2)]
    found = nig_measures(crf.decoder, nigs)
    _, gamma, alpha, beta = nigs[0]
    at = ([1, 2], [1, 2])  # words 1 and 2 as B-X, I-X
    expected = {
        "aleatoric": beta / (alpha - 1),
        "epistemic": beta / (alpha - 1) / gamma,
        "total": beta / (alpha - 1) * (1 + 1 / gamma),
        "Student-t scale √(β(1+γ)/(αγ))": np.sqrt(beta * (1 + gamma) / (alpha * gamma)),
        "1/√γ": 1 / np.sqrt(gamma),
        "−(γ+2α)": -gamma - 2 * alpha,
    }
    assert len(found) == 2 * len(expected)
    for name, table in expected.items():
        assert found[name](SPANS)[0] == pytest.approx(table[[1, 2]].sum(1).mean())
        assert found[f"{name}, predicted tags"](SPANS)[0] == pytest.approx(table[at].mean())
    reported = uncertainty(nigs[0][:, [1, 2]].astype(np.float32))  # as reported for the first span
    assert [found[name](SPANS)[0] for name in ("aleatoric", "epistemic")] == pytest.approx(reported)


# --- metrics ---------------------------------------------------------------------------------------------


def evaluation_posts(posts: int = 40) -> EvaluationPosts:
    """Posts "a b c d" whose only entity is "b c"; odd ones are calibration posts."""
    gold = (Entity(2, 5, "b c", "X"),)
    return EvaluationPosts(
        [Post(i, "a b c d", entities=gold) for i in range(posts)], np.arange(posts) % 2 == 1
    )


def method_outputs(posts: int = 40, temperature: float = 2.0) -> MethodOutputs:
    """Outputs that are right in half of the posts, and calibrated at this temperature."""
    spans = [[TagSpan(1, 3, "X")] if i % 4 < 2 else [TagSpan(0, 1, "X")] for i in range(posts)]
    logits = np.array([[2.0, 1.0, -1.0, 0.5][i % 4] * (1 + i / posts) for i in range(posts)])

    def confidence(spans, t):
        selected = np.array([len(row) > 0 for row in spans])
        return 1 / (1 + np.exp(-logits[selected] * temperature / t))

    uncertainties = mean_over_words([np.array([0.1, 0.2, 0.4, 0.0]) * (i + 1) for i in range(posts)])
    return MethodOutputs("m", 1, 1, spans, {"p": confidence}, {"u": uncertainties})


def test_rows_are_of_the_evaluated_posts_and_the_temperature_is_fitted_on_the_others() -> None:
    posts, outputs = evaluation_posts(), method_outputs()
    scored = posts.score(outputs.spans)
    assert scored.correct.tolist() == [i % 4 < 2 for i in range(40)]
    rows = list(measures_of(outputs, scored))
    assert [(row.key, row.is_probability, len(row.values)) for row in rows] == [
        ("p", True, 20), ("p, temperature", True, 20), ("u", False, 20),
    ]  # fmt: skip
    np.testing.assert_allclose(rows[2].values[:2], [-0.3, -0.1 * 3])  # posts 0 and 2
    # The temperature does not depend on the labels of the evaluated posts.
    other = [
        post if fit else dataclasses.replace(post, entities=())
        for post, fit in zip(posts.posts, posts.is_calibration, strict=True)
    ]
    again = measures_of(outputs, EvaluationPosts(other, posts.is_calibration).score(outputs.spans))
    assert [row.temperature for row in again] == [row.temperature for row in rows]


def test_metrics_equal_those_of_the_evaluation() -> None:
    outputs = method_outputs()
    scored = evaluation_posts().score(outputs.spans)
    rows = list(measures_of(outputs, scored))
    found = metrics_with_intervals(rows, scored, 20, against=0)
    correct = scored.correct[scored.evaluated]
    for row, evaluated in zip(rows, found, strict=True):
        values = {name: interval.value for name, interval in evaluated["metrics"].items()}
        assert values["aurc"] == pytest.approx(aurc(risk_coverage_curve(row.values, correct)))
        assert values["auroc"] == pytest.approx(detection_metrics(-row.values, ~correct).auroc)
        assert ("brier" in values) == row.is_probability
        for name in ("aurc", "auroc"):
            first = found[0]["metrics"][name].value
            assert values[f"{name}_difference"] == pytest.approx(values[name] - first)
    assert found[0]["metrics"]["brier"].value == pytest.approx(brier_score(rows[0].values, correct))
    same = found[0]["metrics"]["aurc_difference"]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    other = found[2]["metrics"]["aurc_difference"]
    assert other.low <= other.value <= other.high


def test_f1_counts_missed_entities() -> None:
    scored = evaluation_posts().score(method_outputs().spans)  # 20 posts: 10 of 20 correct, 20 gold
    interval = scored.f1(200)
    assert interval.value == pytest.approx(0.5)
    assert 0.2 < interval.low < 0.4 < 0.6 < interval.high < 0.8  # as for 20 coin tosses


def test_mean_and_standard_deviation_over_seeds() -> None:
    scored = evaluation_posts().score(method_outputs().spans)
    runs = [[Row("m", "u", 1, 1, sign * np.arange(20.0), False)] for sign in (1, -1)]
    (found,) = mean_over_seeds(runs, [scored, scored])
    values = found["metrics"]["auroc"]["values"]
    assert sum(values) == pytest.approx(1)  # reversed ranking
    assert found["metrics"]["auroc"]["mean"] == pytest.approx(0.5)
    assert found["metrics"]["auroc"]["sd"] == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))
