"""Which posts are sampled, which mismatched picture each gets, and what each condition changes."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from twofold.errors import DataError
from twofold.posts import Post, Region
from twofold.preprocessing.blank_pictures import blank
from twofold.robustness.conditions import conditions, derangement, sample_posts, under_condition
from twofold.robustness.perturbations import readable


def picture(red):
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (red, 0, 0)).save(out, "PNG")
    return out.getvalue()


def post(number, **more):
    return Post(
        number, f"post {number}", image=picture(number), regions=(Region((0, 0, 1, 1), str(number)),), **more
    )


@given(st.lists(st.sampled_from("abcde"), min_size=2, max_size=40), st.integers(0, 5))
def test_no_post_gets_its_own_picture_or_an_equal_one(keys, seed):
    if len(set(keys)) < 2:
        with pytest.raises(DataError, match="two different pictures"):
            derangement(keys, seed)
        return
    to = derangement(keys, seed)
    assert all(keys[i] != keys[other] for i, other in enumerate(to))
    assert to == derangement(keys, seed)
    if 2 * max(Counter(keys).values()) <= len(keys):
        assert sorted(to) == list(range(len(keys)))


def test_another_seed_mismatches_differently():
    keys = [str(i) for i in range(50)]
    assert derangement(keys, 0) != derangement(keys, 1)


def test_which_posts_are_sampled(tmp_path):
    posts = [post(1), post(2), post(3), Post(4, "no picture"), Post(5, "broken", image=b"?")]
    posts += [Post(6, "gone", image=tmp_path / "gone.png"), replace(post(2), id=7)]
    sample = sample_posts(posts)
    assert [w.post.id for w in sample.posts] == [1, 2, 3, 7]
    assert all(w.post.image != w.other.image for w in sample.posts)
    assert sample[1:] == (1, 2, 0)


def test_a_sample_is_drawn_by_the_seed_and_keeps_its_order():
    posts = [post(i) for i in range(20)]
    ids = [[w.post.id for w in sample_posts(posts, seed, 8).posts] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] == sorted(ids[0]) != ids[2]
    assert sample_posts(posts, 0, 8).not_in_sample == 12
    assert len(sample_posts(posts, 0, 30).posts) == 20


def test_what_each_condition_changes():
    sampled = sample_posts([post(1, alt_text="a cup"), post(2)]).posts[0]
    names = conditions([sampled.post])
    assert names == (
        "original", "mismatched", "blank", "noisy", "blurred", "occluded", "missing", "corrupt", "text_only",
    )  # fmt: skip
    assert conditions([post(2)]) == names[:-1]
    seen = {name: under_condition(sampled, name) for name in names}
    assert seen["original"] == sampled.post
    assert {(p.id, p.text) for p in seen.values()} == {(1, "post 1")}
    assert [name for name, p in seen.items() if p.alt_text is None] == ["text_only"]
    assert (seen["mismatched"].image, seen["mismatched"].regions) == (picture(2), post(2).regions)
    assert seen["blank"].image == blank()
    assert [name for name, p in seen.items() if p.image is None] == ["missing", "text_only"]
    assert [name for name, p in seen.items() if p.image and not readable(p.image)] == ["corrupt"]
    assert {name for name, p in seen.items() if p.regions == sampled.post.regions} == {
        "original", "noisy", "blurred", "occluded",
    }  # fmt: skip
    # With the regions of its picture, a corrupt picture would not give the result of a missing one.
    assert seen["corrupt"].regions is seen["missing"].regions is seen["blank"].regions is None
