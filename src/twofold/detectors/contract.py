"""The interface of detectors: pictures in, regions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL.Image import Image

from twofold.posts import Region, RegionKind

_DIGITS = 4
_SMALLEST = 10.0**-_DIGITS


class Detector(Protocol):
    """Detects regions.

    Attributes:
        name: identifies everything that the result depends on; cached results of another name are not used.
        kind: kind of its regions.
    """

    name: str
    kind: RegionKind

    def detect(self, pictures: Sequence[Image]) -> list[list[Region]]:
        """Regions of each picture (RGB, upright), by descending score."""


def region_of(
    box: Sequence[float], size: tuple[int, int], label: str, score: float, kind: RegionKind
) -> Region | None:
    """A region from a box in pixels; None if the box lies outside the picture.

    Args:
        box: left, top, right, bottom; may exceed the picture.
        size: width and height of the picture.
        label: as in `Region`.
        score: as in `Region`.
        kind: as in `Region`.
    """
    width, height = size
    x0, x1 = (round(min(max(x / width, 0.0), 1.0), _DIGITS) for x in (box[0], box[2]))
    y0, y1 = (round(min(max(y / height, 0.0), 1.0), _DIGITS) for y in (box[1], box[3]))
    if x1 - x0 < _SMALLEST or y1 - y0 < _SMALLEST:
        return None
    return Region((x0, y0, x1, y1), label, round(min(max(score, 0.0), 1.0), _DIGITS), kind)
