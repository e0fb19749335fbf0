"""Who is called, who exchanges pictures with whom, and what stays of a post under each condition."""

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
from twofold.robustness.conditions import call, conditions, derangement, placed
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
def test_nobody_gets_the_own_picture_nor_one_like_it(keys, seed):
    if len(set(keys)) < 2:
        with pytest.raises(DataError, match="two different pictures"):
            derangement(keys, seed)
        return
    to = derangement(keys, seed)
    assert all(keys[i] != keys[other] for i, other in enumerate(to))
    assert to == derangement(keys, seed)
    if 2 * max(Counter(keys).values()) <= len(keys):
        assert sorted(to) == list(range(len(keys)))


def test_another_seed_exchanges_otherwise():
    keys = [str(i) for i in range(50)]
    assert derangement(keys, 0) != derangement(keys, 1)


def test_who_is_called(tmp_path):
    posts = [post(1), post(2), post(3), Post(4, "no picture"), Post(5, "broken", image=b"?")]
    posts += [Post(6, "gone", image=tmp_path / "gone.png"), replace(post(2), id=7)]
    called = call(posts)
    assert [w.post.id for w in called.witnesses] == [1, 2, 3, 7]
    assert all(w.post.image != w.other.image for w in called.witnesses)
    assert called[1:] == (1, 2, 0)


def test_a_sample_is_drawn_by_the_seed_and_keeps_its_order():
    posts = [post(i) for i in range(20)]
    ids = [[w.post.id for w in call(posts, seed, 8).witnesses] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] == sorted(ids[0]) != ids[2]
    assert call(posts, 0, 8).passed_over == 12
    assert len(call(posts, 0, 30).witnesses) == 20


def test_what_stays_of_a_post():
    witness = call([post(1, alt_text="a cup"), post(2)]).witnesses[0]
    names = conditions([witness.post])
    assert names == (
        "own", "swapped", "blank", "noisy", "blurred", "occluded", "missing", "corrupt", "text",
    )  # fmt: skip
    assert conditions([post(2)]) == names[:-1]
    seen = {name: placed(witness, name) for name in names}
    assert seen["own"] == witness.post
    assert {(p.id, p.text) for p in seen.values()} == {(1, "post 1")}
    assert [name for name, p in seen.items() if p.alt_text is None] == ["text"]
    assert (seen["swapped"].image, seen["swapped"].regions) == (picture(2), post(2).regions)
    assert seen["blank"].image == blank()
    assert [name for name, p in seen.items() if p.image is None] == ["missing", "text"]
    assert [name for name, p in seen.items() if p.image and not readable(p.image)] == ["corrupt"]
    assert {name for name, p in seen.items() if p.regions == witness.post.regions} == {
        "own", "noisy", "blurred", "occluded",
    }  # fmt: skip
    # Were anything left of what was found in the picture, a corrupt one would not be as a missing one.
    assert seen["corrupt"].regions is seen["missing"].regions is seen["blank"].regions is None
