"""Reads columns of pandas and Polars data frames and Arrow tables, and adds columns to them.

The kind of a table is recognised by the name of its class, so that none of these packages needs to be
installed. This module does not know what the columns contain.
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
        InputError: it is not a table, or two columns have the same name.
    """
    kind = _kind(frame)
    given = list(frame.schema.names if kind == "arrow" else frame.columns)
    names = [str(name) for name in given]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"several columns are named {repeated[0]!r}", expected="each name once")
    if kind == "arrow":
        return Columns(names, lambda name: list(frame.column(name).to_pylist()), frame.num_rows)
    by_text = dict(zip(names, given, strict=True))  # names of pandas may be numbers
    return Columns(names, lambda name: list(frame[by_text[name]].to_list()), len(frame))


def as_table(frame: Any) -> Any:
    """The table itself; one of another library, such as DuckDB, is converted to an Arrow table."""
    if _known(frame) is None and hasattr(frame, "__arrow_c_stream__"):
        try:
            return arrow().table(frame)
        except ValueError as error:  # a single column, as a Series is
            raise InputError(
                f"got a {type(frame).__name__}, which is not a table",
                expected="a table with a column of texts",
            ) from error
    return frame


def with_results(
    frame: Frame, results: Sequence[Extraction | Rejected], names: Sequence[str], prefix: str = ""
) -> Frame:
    """The table with columns of results appended; its kind and rows stay the same.

    Args:
        frame: as in `columns_of`.
        results: one for each row.
        names: columns to add, from `twofold.frames.arrow.RESULTS`.
        prefix: is put before their names in the table.

    Raises:
        MissingExtraError: pyarrow is not installed; pandas does not need it.
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
    """Check that the table has no columns with the names of those to add.

    Raises:
        ConfigError: it has one.
    """
    for name in names:
        if prefix + name in columns.names:
            raise ConfigError(
                f"the table already has a column {prefix + name!r}",
                expected="names that are not in use",
                do='rename it, or give the new columns a prefix: prefix="found_"',
            )


def _kind(frame: object) -> str:
    kind = _known(frame)
    if kind is None:
        name, package = type(frame).__name__, type(frame).__module__.partition(".")[0]
        remedy = "collect it first" if name == "LazyFrame" else "give posts in other forms to extract()"
        if package == "datasets":
            remedy = 'map the data set with dataset.with_format("arrow").map(…, batched=True)'
        raise InputError(f"got a {name}", expected=_EXPECTED, do=remedy)
    return kind


def _known(frame: object) -> str | None:
    package, name = type(frame).__module__.partition(".")[0], type(frame).__name__
    if name == "DataFrame" and package in ("pandas", "polars"):
        return package
    return "arrow" if package == "pyarrow" and name in ("Table", "RecordBatch") else None
