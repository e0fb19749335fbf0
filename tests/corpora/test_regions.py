"""Regions of pictures: what is read, what is refused with which error, and the round trip."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora import open_corpus, parse_post
from twofold.corpora.convert import convert
from twofold.corpora.regions import KINDS, parse_region, region_record
from twofold.errors import InputError
from twofold.posts import Post, Region

DOG = {"box": [0.1, 0.2, 0.5, 0.9], "label": "dog", "score": 0.75, "kind": "phrase"}


def refused(**change: object) -> InputError:
    record = {"id": 1, "text": "a dog", "regions": [DOG, {**DOG, **change}]}
    with pytest.raises(InputError) as caught:
        parse_post(record, "posts.jsonl:7")
    return caught.value


def test_missing_keys_have_defaults() -> None:
    assert parse_region(DOG) == Region((0.1, 0.2, 0.5, 0.9), "dog", 0.75, "phrase")
    assert parse_region({"box": (0, 0, 1, 1)}) == Region((0.0, 0.0, 1.0, 1.0), "", 1.0, "object")


def test_missing_regions_are_not_the_same_as_no_regions() -> None:
    assert parse_post({"id": 1, "text": ""}).regions is None
    assert parse_post({"id": 1, "text": "", "regions": []}).regions == ()


@pytest.mark.parametrize(
    "box", [None, "all", [0, 0, 1], [0, 0, 1, "1"], [0, 0, 1, math.nan], [0.5, 0, 0.5, 1], [-0.1, 0, 1, 1]]
)
def test_an_invalid_box_is_refused(box: object) -> None:
    error = refused(box=box)
    assert error.where == "posts.jsonl:7"
    assert error.what.startswith("regions[1] has ")
    assert "fractions" in error.expected


def test_the_error_for_pixels_says_how_to_make_fractions() -> None:
    assert "divide pixels" in refused(box=[12, 30, 200, 400]).do


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"label": 3}, "label that is the number 3"),
        ({"label": "\ud83d"}, "surrogate"),
        ({"score": 2}, "score that is the number 2"),
        ({"score": True}, "score that is true"),
        ({"kind": "dog"}, "kind that is the text 'dog'"),
        ({"kind": None}, "kind that is null"),
    ],
)
def test_other_invalid_values_are_refused(change: dict[str, object], part: str) -> None:
    assert part in refused(**change).what


_range = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[0] != pair[1]).map(sorted)


@given(
    _range, _range, st.text(st.characters(exclude_categories=["Cs"])), st.floats(0, 1), st.sampled_from(KINDS)
)
def test_what_is_written_is_read_back(x, y, label, score, kind) -> None:
    region = Region((x[0], y[0], x[1], y[1]), label, score, kind)
    assert parse_region(json.loads(json.dumps(region_record(region)))) == region


def test_conversion_keeps_regions_or_reports_their_loss(tmp_path) -> None:
    post = Post("7", "a dog", regions=(parse_region(DOG),), entities=())
    assert convert([post], tmp_path / "out.jsonl", "jsonl").losses == {}
    (back,) = open_corpus(tmp_path / "out.jsonl")
    assert dataclasses.replace(back, origin="") == post
    for format_ in ("imgid", "conll"):
        assert "regions of pictures" in convert([post], tmp_path / "out", format_).losses
