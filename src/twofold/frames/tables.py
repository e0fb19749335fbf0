"""Data frames of pandas and Polars, and tables of Arrow: their columns, and the same with further columns.

What a table is, is told by its class, so that none of these packages need be installed. It does not know what
the columns hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from twofold.errors import ConfigError, InputError
from twofold.frames.arrow import arrow, result_arrays, result_columns
from twofold.frames.rows import Columns
from twofold.posts import Extraction, Rejected

Frame = TypeVar("Frame")
_EXPECTED = "a DataFrame of pandas or Polars, or an Arrow table"


def columns_of(frame: Any) -> Columns:
    """The columns of a table.

    Raises:
        InputError: it is none, or a column comes twice.
    """
    kind = _kind(frame)
    names = [str(name) for name in (frame.schema.names if kind == "arrow" else frame.columns)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the column {twice[0]!r} comes twice", expected="each column once")
    if kind == "arrow":
        return Columns(names, lambda name: list(frame.column(name).to_pylist()), frame.num_rows)
    return Columns(names, lambda name: list(frame[name].to_list()), len(frame))


def as_table(frame: Any) -> Any:
    """The table itself, or as an Arrow table what can become one (of DuckDB, for instance)."""
    if _known(frame) is None and hasattr(frame, "__arrow_c_stream__"):
        try:
            return arrow().table(frame)
        except ValueError as error:  # a single column, as a Series is
            raise InputError(
                f"a {type(frame).__name__} came, which is no table", expected="a table with a column of texts"
            ) from error
    return frame


def with_results(
    frame: Frame, results: Sequence[Extraction | Rejected], names: Sequence[str], prefix: str = ""
) -> Frame:
    """The table with columns of the results behind its own, of the same kind and with the same rows.

    Args:
        frame: as of `columns_of`.
        results: of its rows.
        names: of the columns, of those of `twofold.frames.arrow.RESULTS`.
        prefix: of their names in the table.

    Raises:
        MissingExtraError: pyarrow is not installed, for other tables than those of pandas.
    """
    table: Any = frame
    kind = _kind(frame)
    if kind == "pandas":
        import pandas

        columns = {
            prefix + name: pandas.Series(values, index=table.index, dtype=object)
            for name, values in result_columns(results, names).items()
        }
        return table.assign(**columns)  # type: ignore[no-any-return]
    arrays = {prefix + name: array for name, array in result_arrays(results, names).items()}
    if kind == "polars":
        import polars

        return table.with_columns(  # type: ignore[no-any-return]
            [polars.from_arrow(array).alias(name) for name, array in arrays.items()]
        )
    for name, array in arrays.items():
        table = table.append_column(name, array)
    return table  # type: ignore[no-any-return]


def check_free(names: Sequence[str], columns: Columns, prefix: str) -> None:
    """Complain where a column that is to be added is there already.

    Raises:
        ConfigError: it is.
    """
    for name in names:
        if prefix + name in columns.names:
            raise ConfigError(
                f"the table has a column {prefix + name!r} already",
                expected="names that are free",
                do='rename it, or give the new columns a prefix: prefix="found_"',
            )


def _kind(frame: object) -> str:
    kind = _known(frame)
    if kind is None:
        name = type(frame).__name__
        lazy = "collect it first" if name == "LazyFrame" else "give posts that are no table to extract()"
        raise InputError(f"a {name} came", expected=_EXPECTED, do=lazy)
    return kind


def _known(frame: object) -> str | None:
    package, name = type(frame).__module__.partition(".")[0], type(frame).__name__
    if name == "DataFrame" and package in ("pandas", "polars"):
        return package
    return "arrow" if package == "pyarrow" and name in ("Table", "RecordBatch") else None
