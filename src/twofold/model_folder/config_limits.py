"""Ranges of the numbers in a model folder's ``config.json``, which may have been edited by hand.

Graphs are checked against these numbers when they are opened (`twofold.inference.graph_shapes`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from twofold.errors import ModelError
from twofold.model_folder.config import RENEW, FolderConfig

_FEWEST_PIECES = {"entities": 4, "relations": 16}
"""Smallest window by task: special pieces and a word; for relations head, tail and their markers."""
_MOST = 1_000_000
_LARGEST_SIDE = 4096

Range = tuple[str, float, float, float]
"""Key, value, smallest and largest value."""


def check_limits(config: FolderConfig, where: str) -> None:
    """Check every number of a model folder's configuration.

    Args:
        config: as read.
        where: the file, for the message.

    Raises:
        ModelError: a number is out of its range; names key, value and range.
    """
    for key, value, low, high in _ranges(config):
        if not (math.isfinite(value) and low <= value <= high):
            raise ModelError(
                f"{key} is {value:g}",
                where=where,
                expected=f"{low:g} to {high:g}",
                do=RENEW,
            )


def _ranges(config: FolderConfig) -> Iterator[Range]:
    text, picture = config.text, config.picture
    yield "text.window_pieces", text.window_pieces, _FEWEST_PIECES[config.task], _MOST
    yield "text.context_words", text.context_words, 0, _MOST
    yield "text.pad_token_id", text.pad_token_id, 0, 2**31 - 1
    yield "text.hidden_size", text.hidden_size, 1, _MOST
    if picture is None:
        return
    settings = picture.settings
    yield "picture.resize", settings.resize, 1, _LARGEST_SIDE
    yield "picture.crop", settings.crop, 1, settings.resize
    yield "picture.regions", picture.regions, 1, _MOST
    yield "picture.hidden_size", picture.hidden_size, 1, _MOST
    yield "picture.max_crops", picture.max_crops, 1, 100
    for name, values in (("mean", settings.mean), ("std", settings.std)):
        yield f"the number of channels of picture.{name}", len(values), 3, 3
        for value in values:
            yield f"picture.{name}", value, -1e6 if name == "mean" else 1e-6, 1e6
