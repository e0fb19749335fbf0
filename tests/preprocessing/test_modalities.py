"""Modalities of a picture besides its regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.posts import Post, Region
from twofold.preprocessing.modalities import TEXTS, crop_boxes, grid_boxes, objects, ocr, pooled

WHOLE = (0.0, 0.0, 1.0, 1.0)


def region(label: str, score: float = 0.5, kind: str = "object", x: float = 0.0) -> Region:
    return Region((x, 0.0, 1.0, 1.0), label, score, kind)


def test_labels_are_distinct_by_score_and_at_most_five() -> None:
    found = [
        region("dog", 0.2),
        region("person", 0.9),
        region(" dog ", 0.8),
        region(""),
        region("x", 1, "phrase"),
    ]
    assert objects(Post(1, "", regions=tuple(found))) == "person, dog"
    many = tuple(region(f"thing {i}", i / 10) for i in range(8))
    assert objects(Post(1, "", regions=many)) == "thing 7, thing 6, thing 5, thing 4, thing 3"


def test_text_in_the_picture_keeps_its_order() -> None:
    found = (region("STOP", 0.1, "text"), region("dog"), region("here ", 0.9, "text"))
    assert ocr(Post(1, "", regions=found)) == "STOP here"


@pytest.mark.parametrize("regions", [None, (), (region("a b", kind="phrase"),)])
def test_without_detections_the_modalities_are_absent(regions) -> None:
    post = Post(1, "", regions=regions)
    assert {name for name, read in TEXTS.items() if read(post)} == set()


def test_crops_are_the_regions_of_highest_score_and_no_label_takes_all() -> None:
    found = (
        region("person", 0.9, x=0.1), region("person", 0.8, x=0.2), region("place", 0.3, "phrase", x=0.3),
        region("sign", 1.0, "text", x=0.4), region("person", 0.7, x=0.5),
    )  # fmt: skip
    boxes = crop_boxes(Post(1, "", regions=found), 3)
    assert [box[0] for box in boxes] == [0.1, 0.3, 0.2]
    assert len(crop_boxes(Post(1, "", regions=found), 9)) == 4


@pytest.mark.parametrize("regions", [None, (), (region("read", kind="text"),)])
def test_without_regions_crops_are_quarters(regions) -> None:
    halves = (0.0, 0.5, 1.0)
    expected = {(x, y, x + 0.5, y + 0.5) for y in halves[:2] for x in halves[:2]}
    assert set(crop_boxes(Post(1, "", regions=regions), 4)) == expected


@given(st.integers(1, 40))
def test_grid_boxes_cover_the_picture_without_overlap(most: int) -> None:
    found = grid_boxes(most)
    assert 0 < len(found) <= most
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in found) == pytest.approx(1)
    assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in found)
    points = np.random.default_rng(0).uniform(0.001, 0.999, (50, 2))
    for x, y in points:
        assert sum(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in found) == 1


def test_three_crops_are_strips_and_one_is_the_whole() -> None:
    assert grid_boxes(1) == (WHOLE,)
    assert [box[0] for box in grid_boxes(3)] == pytest.approx([0, 1 / 3, 2 / 3])


def test_pooling_is_the_mean_over_regions() -> None:
    regions = np.random.default_rng(0).normal(size=(49, 8)).astype(np.float16)
    np.testing.assert_allclose(pooled(regions), regions.astype(np.float64).mean(0), atol=1e-3)
    assert pooled(regions).dtype == np.float16
