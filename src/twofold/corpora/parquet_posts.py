"""Posts of a Parquet file, read some rows at a time. The package pyarrow reads it (extra ``scale``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.jsonl import parse_row
from twofold.corpora.lines import rejected
from twofold.errors import DataError, InputError
from twofold.extras import extra_module
from twofold.posts import Post, Rejected

_ROWS = 64
"""Rows in memory at one time: with pictures in a column they may be large."""
_SHOWN = 1000


def read_parquet(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    """Posts in the order of the file; the picture of a post may be a column of paths or of bytes.

    Arguments as of `read_csv`.

    Raises:
        DataError: a column is missing (at the first post), or the file is damaged.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = extra_module("pyarrow.parquet", "scale", "Parquet files")
    file = _guarded(lambda: parquet.ParquetFile(stream, buffer_size=1 << 20), name)
    names = file.schema_arrow.names
    columns.check(names, name)
    batches = file.iter_batches(batch_size=_ROWS, columns=columns.used(names))
    number = 0
    while (batch := _guarded(lambda: next(batches, None), name)) is not None:
        for row in batch.to_pylist():
            number += 1
            origin = f"{name}:{number}"
            try:
                yield parse_row(row, origin, folder, attachments, columns)
            except InputError as error:
                yield rejected(error, repr({k: v for k, v in row.items() if k != "image"})[:_SHOWN].encode())


def _guarded(read: Any, name: str) -> Any:
    try:
        return read()
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise DataError(
            "cannot be read as Parquet: the file is damaged",
            where=name,
            expected="a Parquet file that can be read to its end",
            do="write it again",
        ) from error
