"""Paired bootstrap against enumeration of every resample, and against SciPy's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from twofold.evaluation.paired_bootstrap import compare, mean_f1, resample_weights, summarise

N = 5


def random_counts(runs: int, posts: int, seed: int, skill: float) -> np.ndarray:
    """Counts (S, 3, N) in which each gold item is found with probability ``skill``."""
    random = np.random.default_rng(seed)
    gold = np.broadcast_to(random.integers(0, 4, posts), (runs, posts))
    correct = random.binomial(gold, skill)
    return np.stack([correct, correct + random.integers(0, 2, (runs, posts)), gold], 1)


def f1_by_hand(counts: np.ndarray, posts: tuple[int, ...]) -> float:
    values = []
    for run in counts.tolist():
        correct, predicted, gold = (sum(row[i] for i in posts) for row in run)
        values.append(2 * correct / (predicted + gold) if predicted + gold else 0.0)
    return sum(values) / len(values)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    return random_counts(2, N, 1, 0.6), random_counts(3, N, 2, 0.5)


@pytest.fixture
def everything(pair) -> np.ndarray:
    """Differences on all 5^5 resamples, each as likely as another."""
    return np.array([f1_by_hand(pair[0], x) - f1_by_hand(pair[1], x) for x in product(range(N), repeat=N)])


def test_weights_give_what_counting_by_hand_gives(pair):
    every = list(product(range(N), repeat=N))
    weights = np.array([[resample.count(i) for i in range(N)] for resample in every], float)
    for counts in pair:
        assert mean_f1(counts, weights) == pytest.approx([f1_by_hand(counts, x) for x in every])


def test_interval_and_p_are_those_of_all_resamples(pair, everything):
    found = compare(*pair, resamples=40_000)
    assert found.value == pytest.approx(f1_by_hand(pair[0], range(N)) - f1_by_hand(pair[1], range(N)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(everything, [0.025, 0.975])), abs=0.01)
    exact = 2 * min((everything <= 0).mean(), (everything >= 0).mean())
    assert 0.02 < exact < 0.9  # else the next line would test little
    assert found.p == pytest.approx(exact, abs=4 * (exact / 40_000) ** 0.5)


def test_every_resample_is_as_likely_as_another():
    weights = np.concatenate(list(resample_weights(3, 27_000, 5)))
    assert (weights.sum(1) == 3).all()
    rows, counts = np.unique(weights, axis=0, return_counts=True)
    expected = {3: 1, 2: 3, 1: 6}  # orders of (3,0,0), (2,1,0), (1,1,1)
    for row, count in zip(rows, counts, strict=True):
        assert count == pytest.approx(1000 * expected[int(row.max())], rel=0.12)


def test_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = random_counts(1, 300, 3, 0.8), random_counts(1, 300, 4, 0.7)

    def difference(posts: np.ndarray) -> float:
        return f1_by_hand(ours, posts.tolist()) - f1_by_hand(theirs, posts.tolist())

    theirs_by_scipy = stats.bootstrap(
        (np.arange(300),), difference, n_resamples=2000, method="percentile", vectorized=False,
        random_state=np.random.default_rng(0),
    )  # fmt: skip
    found = compare(ours, theirs, resamples=20_000)
    interval = theirs_by_scipy.confidence_interval
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.008)
    error = float(np.std(theirs_by_scipy.bootstrap_distribution))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_method_against_itself_is_no_different():
    counts = random_counts(2, 50, 7, 0.6)
    found = compare(counts, counts, resamples=200)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_swapped_methods_give_the_negated_interval_and_the_same_p(pair):
    one, other = compare(*pair, resamples=999), compare(*pair[::-1], resamples=999)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.p == other.p


def test_p_is_never_zero():
    assert summarise(1.0, np.ones(99)).p == pytest.approx(2 / 100)


def test_posts_without_gold_and_predictions_change_nothing(pair):
    padded = [np.concatenate([x, np.zeros((len(x), 3, 4), int)], 2) for x in pair]
    assert compare(*padded, resamples=10).value == pytest.approx(compare(*pair, resamples=10).value)
    assert mean_f1(np.zeros((1, 3, 2), int), np.ones((1, 2))) == [0]


@pytest.mark.parametrize("resamples", [1, 499, 500, 501, 1250])
def test_resamples_are_drawn_in_groups_of_at_most_500(resamples):
    parts = list(resample_weights(4, resamples, 0))
    assert sum(map(len, parts)) == resamples
    assert max(map(len, parts)) <= 500
    assert all(part.dtype == np.float64 and (part.sum(1) == 4).all() for part in parts)


def test_defaults_are_seed_0_and_level_95_per_cent(pair):
    plain = compare(*pair, resamples=200)
    assert plain == compare(*pair, resamples=200, seed=0, level=0.95)
    assert plain != compare(*pair, resamples=200, seed=1)
    narrow = compare(*pair, resamples=200, level=0.5)
    assert plain.low < narrow.low < narrow.high < plain.high
    differences = np.linspace(-1, 3, 101)
    assert summarise(1.0, differences) == summarise(1.0, differences, 0.95)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([-1, 1, 1, 1, 1, 1, 1, 1, 1], 4 / 10),  # one below 0, and one more for the observed
        ([1, -1, -1, -1, -1, -1, -1, -1, -1], 4 / 10),
        ([0, 1, 1, 1, 1, 1, 1, 1, 1], 4 / 10),  # 0 is on both sides
        ([-1, 0, 1, 2], 1),  # never above 1
        ([1, 1, 1], 2 / 4),
    ],
)
def test_p_by_hand(differences, p):
    found = summarise(0.7, np.array(differences, float))
    assert found.p == pytest.approx(p)
    assert found.value == 0.7
