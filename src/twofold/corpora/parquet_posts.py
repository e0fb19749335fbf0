"""Posts of a Parquet file, read a few rows at a time with the package pyarrow (extra ``scale``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.jsonl import parse_row
from twofold.corpora.lines import MAX_BYTES, rejected, too_long
from twofold.corpora.result_record import PREDICTED, is_result_table
from twofold.errors import DataError, InputError
from twofold.extras import extra_module
from twofold.posts import Post, Rejected
from twofold.reading import not_utf8

_ROWS = 64
"""Rows in memory at a time; with pictures in a column they may be large."""
_RAW_LENGTH = 1000


def read_parquet(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    """Posts in the order of the file; pictures may be a column of paths or of bytes.

    Arguments as in `read_csv`.

    Raises:
        DataError: a column is missing (at the first post), or the file is damaged.
        MissingExtraError: pyarrow is not installed.
    """
    file, leaves = open_parquet(stream, name)
    names = file.schema_arrow.names
    columns.check(names, name)
    predicted = PREDICTED if is_result_table(leaves) else ()
    used = [column for column in columns.used(names) if column not in predicted]
    for origin, row in parquet_rows(file, name, used):
        try:
            if isinstance(row, InputError):
                raise row
            yield parse_row(row, origin, folder, attachments, columns)
        except InputError as error:
            values = {} if isinstance(row, InputError) else row
            raw = repr({k: v for k, v in values.items() if k != "image"})[:_RAW_LENGTH]
            yield rejected(error, raw.encode("utf-8", "backslashreplace"))


def open_parquet(stream: BinaryIO, name: str) -> tuple[Any, list[str]]:
    """A file of pyarrow, and the paths of its leaf columns, such as ``picture.status``.

    Args:
        stream: a seekable one.
        name: of the file, for messages.

    Raises:
        DataError: the file is damaged.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = extra_module("pyarrow.parquet", "scale", "Parquet files")
    schema = _guarded(lambda: parquet.ParquetFile(stream).schema, name)
    columns = [schema.column(i) for i in range(len(schema.names))]
    texts = [column.path for column in columns if _is_text(column)]
    file = _guarded(lambda: parquet.ParquetFile(stream, buffer_size=1 << 20, read_dictionary=texts), name)
    return file, [column.path for column in columns]


def parquet_rows(
    file: Any, name: str, columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any] | InputError]]:
    """Each row with its origin, ``NAME:ROW``; an InputError in place of one that cannot be read.

    Args:
        file: see `open_parquet`.
        name: of the file, for messages.
        columns: those to read.

    Raises:
        DataError: the file is damaged.
    """
    batches = file.iter_batches(batch_size=_ROWS, columns=columns)
    number = 0
    while (batch := _guarded(lambda: next(batches, None), name)) is not None:
        for index in range(batch.num_rows):
            number += 1
            origin = f"{name}:{number}"
            try:
                yield origin, _row(batch, index, origin)
            except InputError as error:
                yield origin, error


def _row(batch: Any, index: int, origin: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in batch.schema.names:
        try:
            value = batch.column(name)[index]
            if _size(value) > MAX_BYTES:
                raise too_long(origin)
            row[name] = value.as_py()
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is {not_utf8(error)}", where=origin, expected="UTF-8") from error
        except (ValueError, OverflowError, NotImplementedError) as error:
            raise InputError(
                f"{name} cannot be read", where=origin, expected="a value that Python can hold"
            ) from error
    return row


def _size(value: Any) -> int:
    """Bytes of a text; 0 for anything else. A long text may take few bytes in the file if rows share it."""
    value = value.value if hasattr(value, "dictionary") else value
    buffer = value.as_buffer() if hasattr(value, "as_buffer") else None
    return buffer.size if buffer is not None else 0


def _is_text(column: Any) -> bool:
    """Whether it is text or bytes: read as a dictionary, a value that many rows share is in memory once."""
    return column.physical_type == "BYTE_ARRAY" and not column.max_repetition_level


def _guarded(read: Any, name: str) -> Any:
    try:
        return read()
    except MemoryError as error:
        raise DataError(
            "there is not enough memory for its rows",
            where=name,
            expected="a Parquet file whose rows are posts",
            do="write it in smaller groups of rows",
        ) from error
    except Exception as error:  # pyarrow raises nearly anything on a broken file
        raise DataError(
            "cannot be read as Parquet: the file is damaged",
            where=name,
            expected="a Parquet file that can be read to its end",
            do="write it again",
        ) from error
