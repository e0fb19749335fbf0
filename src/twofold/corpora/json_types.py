"""Types of JSON values, and of numpy and pandas values in their place, in words for messages."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

_PANDAS_MISSING = ("NAType", "NaTType")


def kind_of(value: object) -> str:
    """Describe a value in JSON's terms."""
    if value is None:
        return "null"
    if is_missing(value):
        return "missing"
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
    """Whether a value is missing: None, NaN, or pandas' NA or NaT."""
    if value is None or isinstance(value, str):
        return value is None
    return (isinstance(value, Real) and value != value) or type(value).__name__ in _PANDAS_MISSING


def as_python(value: Any) -> Any:
    """Numpy numbers and arrays as int, float or list; anything else unchanged."""
    return value.tolist() if hasattr(value, "tolist") else value
