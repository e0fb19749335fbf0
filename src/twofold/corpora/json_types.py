"""What a value of JSON, or of numpy and pandas in its place, is; in words for messages."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

_PANDAS_MISSING = ("NAType", "NaTType")


def kind_of(value: object) -> str:
    """What a value is, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {str(value)[:20]}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else f"of the type {type(value).__name__}"


def is_missing(value: object) -> bool:
    """Whether it stands for no value: None, NaN, or pandas' NA and NaT."""
    if value is None or isinstance(value, str):
        return value is None
    return (isinstance(value, Real) and value != value) or type(value).__name__ in _PANDAS_MISSING


def as_python(value: Any) -> Any:
    """Numbers and arrays of numpy as Python has them (int, float, list); anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value
