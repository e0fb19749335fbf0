"""What is read of a post's picture besides the grid of its regions: crops, labels and words found in it.

Training and use both come through here. What was found beforehand stands in ``Post.regions``; a post
without any still has crops, the cells of an even grid, which need no detector. It opens no pictures.

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
"""Sources that the picture encoder reads."""
MOST_OBJECTS = 5
"""Labels of a picture that are read, as in MGCMT."""


def objects(post: Post) -> str | None:
    """Distinct labels of the objects, the surest first, as one text; None where there is none."""
    found = sorted((r for r in post.regions or () if r.kind == "object"), key=lambda r: -r.score)
    labels = list(dict.fromkeys(label for region in found if (label := region.label.strip())))
    return ", ".join(labels[:MOST_OBJECTS]) or None


def ocr(post: Post) -> str | None:
    """Text that was read in the picture, in the order it came; None where there is none."""
    return " ".join(r.label.strip() for r in post.regions or () if r.kind == "text").strip() or None


TEXTS: Mapping[str, Callable[[Post], str | None]] = {
    "alt_text": lambda post: post.alt_text,
    "objects": objects,
    "ocr": ocr,
}
"""Sources that the text encoder reads."""


def crop_boxes(post: Post, most: int) -> tuple[Box, ...]:
    """What is cut out of the post's picture: objects and phrases, the surest first, else `cells`.

    Of several boxes with the same label the surest goes before the second of another, so that no
    phrase takes all the places.

    Args:
        post: its regions need not have been looked for.
        most: boxes at most.
    """
    found = sorted((r for r in post.regions or () if r.kind != "text"), key=lambda r: -r.score)
    seen: dict[str, int] = {}
    ranks = []
    for region in found:
        ranks.append(seen.get(region.label, 0))
        seen[region.label] = ranks[-1] + 1
    order = sorted(range(len(found)), key=ranks.__getitem__)  # stable: by score within a rank
    return tuple(found[i].box for i in order[:most]) or cells(most)


def cells(most: int) -> tuple[Box, ...]:
    """An even grid of at most so many cells that cover the picture: 4 give its quarters."""
    rows = math.isqrt(most)
    columns = most // max(rows, 1)
    return tuple(
        (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        for row in range(rows)
        for column in range(columns)
    )


def pooled(regions: NDArray[np.float16]) -> NDArray[np.float16]:
    """One vector (V,) for a picture or a crop: the mean of its regions (R, V)."""
    mean: NDArray[np.float16] = regions.astype(np.float32).mean(0).astype(np.float16)
    return mean
