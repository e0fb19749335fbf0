"""Batches of posts of different lengths, and their order in time, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.crf import batches
from twofold.crf.batches import padded_batches, time_major


def rows_of(lengths):
    return [np.full((length, 2), 10.0 * i) + np.arange(length)[:, None] for i, length in enumerate(lengths)]


def test_time_comes_first_and_long_posts_come_first():
    random = np.random.default_rng(0)
    lengths = random.integers(0, 4, 60)
    emissions = random.standard_normal((60, 6, 3)).astype(np.float32)  # two words wider than any post
    batch = time_major(emissions, np.arange(6) < lengths[:, None])
    order = sorted(range(60), key=lambda i: -lengths[i])  # stable
    assert batch.order.tolist() == order
    assert batch.lengths.tolist() == [lengths[i] for i in order]
    assert batch.running == [sum(length > t for length in lengths) for t in range(6)]
    assert batch.emissions.dtype == np.float64
    for t in range(6):
        np.testing.assert_array_equal(batch.emissions[t], emissions[order, t])


@pytest.mark.parametrize(
    ("lengths", "most", "expected"),
    [
        ([2, 3, 0, 2, 2], 6, [[0, 3, 4], [1]]),  # three posts of two words fill a batch
        ([2, 3, 0, 2, 2], 9, [[0, 3, 4], [1]]),  # with the fourth they would take 12
        ([2, 3, 0, 2, 2], 12, [[0, 3, 4, 1]]),
        ([9, 1, 1], 5, [[1, 2], [0]]),  # a post that is longer than a batch is alone
        ([9, 8], 5, [[1], [0]]),
        ([0, 0], 5, []),
        ([], 5, []),
    ],
)
def test_batches_have_posts_of_similar_length_and_no_more_words_than_allowed(
    monkeypatch, lengths, most, expected
):
    monkeypatch.setattr(batches, "_MAX_WORDS", most)
    rows = rows_of(lengths)
    found = list(padded_batches(rows))
    assert [numbers for numbers, _, _ in found] == expected
    for numbers, emissions, mask in found:
        assert mask.sum(1).tolist() == [lengths[i] for i in numbers]
        assert emissions.shape == (*mask.shape, 2)
        assert mask.shape[1] == max(lengths[i] for i in numbers)
        for number, values, real in zip(numbers, emissions, mask, strict=True):
            np.testing.assert_array_equal(values[: lengths[number]], rows[number])
            assert real[: lengths[number]].all()
            assert not values[~real].any()
