"""Confidences before calibration against those of the CRF at temperature 1, which has its own tests."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.calibration.uncalibrated import uncalibrated_confidences
from twofold.crf import ChainDecoder, TagSpan
from twofold.inference.encode import EncodedPost
from twofold.posts import Entity, PictureReport, Post

LABELS = ("O", "B-LOC", "I-LOC")


def test_confidences_do_not_depend_on_those_of_the_entities():
    decoder = ChainDecoder(LABELS, np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    random = np.random.default_rng(0)
    words = [(0, 2), (3, 6), (6, 7), (9, 12)]
    encoded_posts = [
        EncodedPost(Post(i, "x" * 12), words, PictureReport("none"), (True,), random.standard_normal((4, 3)))
        for i in range(2)
    ]
    found = [(Entity(3, 7, "x", "LOC", 0.123), Entity(9, 12, "x", "LOC")), ()]
    values = uncalibrated_confidences(decoder, encoded_posts, found)
    spans = [[TagSpan(1, 3, "LOC"), TagSpan(3, 4, "LOC")], []]
    expected = decoder.confidences([encoded.emissions for encoded in encoded_posts], spans, 1.0)
    assert values[0] == pytest.approx(expected[0])
    assert values[1] == []
