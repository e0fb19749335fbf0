"""Tells results of `twofold extract` from posts, whose keys they share.

The entities and relations of a result are predictions: read as a post, a result is unlabelled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

PREDICTED = ("entities", "relations")
"""Keys and columns that hold predictions in a result, and labels in a post."""


def is_result(record: Mapping[str, Any]) -> bool:
    """Whether a record, as in a line of JSON, is a result: it names a model and the status of its picture."""
    if "model" not in record:  # asked of every row that is read
        return False
    picture = record.get("picture")
    return isinstance(picture, Mapping) and "status" in picture


def is_result_table(columns: Collection[str]) -> bool:
    """Whether a table holds results.

    Args:
        columns: names of its columns; for Parquet, paths such as ``picture.status``.
    """
    return "model" in columns and ("picture_status" in columns or "picture.status" in columns)
