"""Read, check and write regions of a picture as JSON.

``{"box": [x0, y0, x1, y1], "label": "dog", "score": 0.9, "kind": "object"}``, the box in fractions of the
upright picture. It does not open pictures, so it cannot tell whether a box fits one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from twofold.corpora.json_types import kind_of
from twofold.errors import InputError
from twofold.posts import Region, RegionKind

KINDS: tuple[RegionKind, ...] = get_args(RegionKind)


def parse_region(item: Mapping[str, Any]) -> Region:
    """Parse one region from a mapping.

    Raises:
        InputError: the box is invalid, or a value has the wrong type; the message is a sentence without a
            subject, so that the caller can put the post and the region before it.
    """
    return Region(_box(item.get("box")), _label(item.get("label")), _score(item.get("score")), _kind(item))


def region_record(region: Region) -> dict[str, Any]:
    """A region as a JSON object; `parse_region` reads it back."""
    return {"box": list(region.box), "label": region.label, "score": region.score, "kind": region.kind}


def _box(value: object) -> tuple[float, float, float, float]:
    expected = "[left, top, right, bottom] as fractions of the picture's width and height"
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        found = f"a list of {len(value)}" if isinstance(value, (list, tuple)) else kind_of(value)
        raise InputError(f"has a box that is {found}", expected=expected)
    if not all(_is_number(x) for x in value):
        raise InputError(f"has the box {list(value)!r:.80}", expected=expected)
    x0, y0, x1, y1 = map(float, value)
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise InputError(
            f"has the box {list(value)!r:.80}",
            expected=f"{expected}: 0 ≤ left < right ≤ 1 and 0 ≤ top < bottom ≤ 1",
            do="divide pixels by the width and height of the picture turned upright",
        )
    return x0, y0, x1, y1


def _label(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"has a label that is {kind_of(value)}", expected="text")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise InputError("has a label with half of a surrogate pair", expected="whole characters")
    return value


def _score(value: object) -> float:
    if value is None:
        return 1.0
    if not isinstance(value, (int, float)) or not _is_number(value) or not 0 <= value <= 1:
        raise InputError(f"has a score that is {kind_of(value)}", expected="a number in [0, 1]")
    return float(value)


def _kind(item: Mapping[str, Any]) -> RegionKind:
    value = item.get("kind", "object")
    for kind in KINDS:
        if value == kind:
            return kind
    raise InputError(f"has a kind that is {kind_of(value)}", expected="one of " + ", ".join(KINDS))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
