"""Splits depend on ids and seed only."""

from __future__ import annotations

import hashlib

from twofold.calibration.splits import in_tuning_split


def test_about_half_and_independent_of_order_and_of_other_posts():
    ids = [f"post {i}" for i in range(4000)]
    half = in_tuning_split(ids)
    assert 0.46 < half.mean() < 0.54
    assert (in_tuning_split(ids[::-1]) == half[::-1]).all()
    assert (in_tuning_split(ids[:10]) == half[:10]).all()


def test_equal_ids_are_in_the_same_split_and_the_seed_changes_splits():
    for i in range(20):
        assert len(set(in_tuning_split([i, "other", str(i)])[[0, 2]])) == 1
    ids = range(4000)
    assert 0.46 < (in_tuning_split(ids) == in_tuning_split(ids, seed=1)).mean() < 0.54
    assert in_tuning_split([]).shape == (0,)


def test_the_split_is_the_first_bit_of_the_hash_of_seed_and_id():
    ids = [*range(50), "Ä", "\ud83d"]  # half of a surrogate pair, too
    for seed in (0, 7):
        expected = [
            hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).hexdigest() < "8"
            for name in ids
        ]
        assert in_tuning_split(ids, seed).tolist() == expected
    assert in_tuning_split(ids).tolist() == in_tuning_split(ids, 0).tolist()
