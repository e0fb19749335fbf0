"""Values of numpy and pandas in place of null, whole numbers and lists of JSON."""

from __future__ import annotations

import enum

import numpy as np
import pytest

from twofold.corpora import parse_post
from twofold.corpora.json_types import as_python, is_missing
from twofold.errors import InputError

NAType = type("NAType", (), {"__bool__": lambda self: 1 / 0, "__ne__": lambda self, other: self})


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan"), np.float64("nan"), NAType()])
def test_nan_is_a_missing_value(value):
    assert is_missing(value)
    optional = ("image", "alt_text", "tokens", "entities", "relations", "regions")
    post = parse_post({"id": 1, "text": "Ada"} | dict.fromkeys(optional, value))
    assert (post.image, post.alt_text, post.tokens, post.entities) == (None, None, None, None)
    assert (post.relations, post.regions) == (None, None)


@pytest.mark.parametrize("value", ["", "nan", 0, 0.0, False, [], np.zeros(2), b""])
def test_other_values_are_not_missing(value):
    assert not is_missing(value)


def test_whole_numbers_and_arrays_of_numpy():
    entities = np.array([{"start": np.int64(0), "end": np.int32(3), "type": "PER"}], object)
    post = parse_post({"id": np.int64(7), "tokens": np.array(["Ada", "in"], object), "entities": entities})
    assert (post.id, type(post.id), post.text) == (7, int, "Ada in")
    assert [(e.start, e.end, type(e.end)) for e in post.entities] == [(0, 3, int)]
    assert as_python(np.array([1, 2])) == [1, 2]


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"image": np.zeros((2, 2, 3), np.uint8)}, "image is of the type ndarray"),
        ({"image": Colour.RED}, "image is of the type Colour"),
        ({"image": 3.5}, "image is the number 3.5"),
        ({"id": np.bool_(True)}, "id is true"),
        ({"id": float("nan")}, "id is missing"),
        ({"id": 1.0}, "id is the number 1.0"),
        ({"id": NAType()}, "id is missing"),
        ({"text": None}, "text is null"),
        ({"text": float("nan")}, "text is missing"),
        ({"entities": [{"start": 0, "end": 1, "type": "P", "text": np.zeros(2)}]}, "entities[0] says array"),
    ],
)
def test_what_cannot_be_read_is_an_input_error(record, reason):
    with pytest.raises(InputError, match="post 3") as error:
        parse_post({"id": 1, "text": "Ada"} | record, "post 3")
    assert reason in str(error.value)


def test_a_picture_may_be_a_bytearray():
    assert parse_post({"id": 1, "text": "", "image": bytearray(b"\x89PNG")}).image == b"\x89PNG"
