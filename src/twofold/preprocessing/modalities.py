"""Modalities of a post, and what each is made of: crops, labels of objects, text in the picture, alt text.

Training and inference share it. Detected regions are in ``Post.regions``; a post without any has the crops of
an even grid, which needs no detector. It opens no pictures.

Shape letters: R regions, V their width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twofold.posts import Post

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the upright picture."""

VISUAL = ("picture", "whole", "crops")
"""Modalities that the picture encoder encodes."""
MAX_OBJECTS = 5
"""Labels of a picture that are used, as in MGCMT."""


def objects(post: Post) -> str | None:
    """Distinct labels of the objects, highest scores first, as one text; None where there is none."""
    found = sorted((r for r in post.regions or () if r.kind == "object"), key=lambda r: -r.score)
    labels = list(dict.fromkeys(label for region in found if (label := region.label.strip())))
    return ", ".join(labels[:MAX_OBJECTS]) or None


def ocr(post: Post) -> str | None:
    """Text recognised in the picture, in its order; None where there is none."""
    return " ".join(r.label.strip() for r in post.regions or () if r.kind == "text").strip() or None


TEXTS: Mapping[str, Callable[[Post], str | None]] = {
    "alt_text": lambda post: post.alt_text,
    "objects": objects,
    "ocr": ocr,
}
"""Modalities that the text encoder encodes."""


def crop_boxes(post: Post, max_crops: int) -> tuple[Box, ...]:
    """Boxes of the crops of a post's picture: objects and phrases, highest scores first, else `grid_boxes`.

    The best box of each label comes before the second of any, so that one phrase cannot take all crops.

    Args:
        post: with or without regions.
        max_crops: boxes, at most.
    """
    found = sorted((r for r in post.regions or () if r.kind != "text"), key=lambda r: -r.score)
    seen: dict[str, int] = {}
    ranks = []
    for region in found:
        ranks.append(seen.get(region.label, 0))
        seen[region.label] = ranks[-1] + 1
    order = sorted(range(len(found)), key=ranks.__getitem__)  # stable: by score within a rank
    return tuple(found[i].box for i in order[:max_crops]) or grid_boxes(max_crops)


def grid_boxes(count: int) -> tuple[Box, ...]:
    """An even grid of at most ``count`` boxes that cover the picture: 4 give its quarters."""
    rows = math.isqrt(count)
    columns = count // max(rows, 1)
    return tuple(
        (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        for row in range(rows)
        for column in range(columns)
    )


def pooled(regions: NDArray[np.float16]) -> NDArray[np.float16]:
    """Mean pooling: one vector (V,) for a picture or a crop from its regions (R, V)."""
    mean: NDArray[np.float16] = regions.astype(np.float32).mean(0).astype(np.float16)
    return mean
