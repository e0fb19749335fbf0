"""Results of `twofold extract`, read as the records of its JSON Lines from every format that it writes.

JSON Lines, CSV and TSV, compressed or not, Parquet, and a folder of such parts. A line, or a few rows of
Parquet, are in memory at a time. Ids that CSV and Parquet hold as text stay text. It does not check the
predictions.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from twofold.corpora.compression import plain_stream
from twofold.corpora.csv_posts import csv_table
from twofold.corpora.formats import format_of
from twofold.corpora.jsonl import parse_json, parse_object
from twofold.corpora.lines import display_path, read_lines
from twofold.corpora.parquet_posts import open_parquet, parquet_rows
from twofold.corpora.result_record import PREDICTED, is_result, is_result_table
from twofold.errors import DataError, InputError
from twofold.reading import open_file

Record = dict[str, Any]

NOT_LABELS = "is a result of `twofold extract`, not labels"
TO_LABELS = "export it (`twofold export`) or review it (`twofold review`) first"
_EXPECTED = "results of `twofold extract`"
_FORMATS = ("jsonl", "csv", "parquet")
_PART = re.compile(r"part-(\d+)\.[a-z.]+")
_CELLS = ("id", "text", *PREDICTED, "picture_status", "picture_reason", "model", "truncated")


def holds_results(path: Path) -> bool:
    """Whether a file begins with a result, or a folder has parts of results.

    False for what cannot be read, too: the error is raised when it is read as posts.
    """
    try:
        if path.is_dir():
            return bool(_parts(path))
        with closing(_rows(path)) as rows:
            _, first = next(rows, ("", {}))
    except (DataError, OSError):
        return False
    return not isinstance(first, InputError) and is_result(first)


def result_files(path: Path) -> list[Path]:
    """The files of results: the file itself, or the parts of a folder in order.

    Raises:
        DataError: the folder has no parts, or its run is not finished.
    """
    if not path.is_dir():
        return [path]
    parts = _parts(path)
    if not parts:
        raise DataError(
            "a folder without results",
            where=str(path),
            expected="a file of results, or a folder that `twofold extract -o` wrote",
        )
    manifest = path / "_manifest"
    if manifest.is_dir() and not (manifest / "done.json").is_file():
        raise DataError(
            "the run that writes this folder is not finished",
            where=str(path),
            expected="all parts of the results",
            do="give the same `twofold extract` command again to finish it",
        )
    return parts


def result_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Each result with its origin, ``FILE:LINE`` or ``FILE:ROW``, in order.

    Args:
        path: a file in any format that `twofold extract` writes, or the folder of its parts.

    Raises:
        DataError: (while iterating) something cannot be read, or is not a result.
        MissingExtraError: the package that reads the format is not installed.
    """
    for file in result_files(path):
        for origin, record in _rows(file):
            if isinstance(record, InputError):
                raise DataError(
                    record.what, where=record.where or origin, expected=_EXPECTED, do=record.do
                ) from record
            if not is_result(record):
                raise _not_a_result(record, origin, file)
            yield origin, record


def no_labels(where: str, expected: str, do: str = "") -> DataError:
    """The error for data in which no post is labelled; it says so where these are results.

    Args:
        where: the file; "" for posts that come from no file.
        expected: what should have come.
        do: what to do with posts without labels.
    """
    if where and holds_results(Path(where)):
        return DataError(NOT_LABELS, where=where, expected=expected, do=TO_LABELS)
    return DataError("no labelled post", where=where, expected=expected, do=do)


def _parts(folder: Path) -> list[Path]:
    found = [(match, path) for path in folder.iterdir() if (match := _PART.fullmatch(path.name))]
    return [path for match, path in sorted(found, key=lambda item: int(item[0][1])) if path.is_file()]


def _not_a_result(record: Record, origin: str, path: Path) -> DataError:
    posts = bool({"text", "tokens", "data"} & record.keys())
    return DataError(
        "holds posts, not results" if posts else "is not a result",
        where=origin,
        expected=_EXPECTED,
        do=f"extract them first: twofold extract {path.name} -o results.jsonl" if posts else "",
    )


def _rows(path: Path) -> Generator[tuple[str, Record | InputError], None, None]:
    """Rows of a file as records; an InputError in place of one that cannot be read."""
    format_, name = format_of(path), display_path(path)
    if format_ not in _FORMATS:
        raise _not_a_result({"text": ""}, name, path)
    try:
        stream = open_file(path)
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", where=str(path), expected=_EXPECTED
        ) from error
    with stream:
        if format_ == "parquet":
            yield from _parquet(stream, name)
        elif format_ == "csv":
            yield from _csv(plain_stream(stream, name), name)
        else:
            yield from _json_lines(plain_stream(stream, name), name)


def _json_lines(stream: BinaryIO, name: str) -> Iterator[tuple[str, Record | InputError]]:
    for line in read_lines(stream):
        origin = f"{name}:{line.number}"
        try:
            yield origin, parse_object(line, origin)
        except InputError as error:
            yield origin, error


def _csv(stream: BinaryIO, name: str) -> Iterator[tuple[str, Record | InputError]]:
    with csv_table(stream, name) as (columns, rows):
        results = is_result_table(columns)
        for origin, row, _ in rows:
            if isinstance(row, InputError) or not results:
                yield origin, row
                continue
            try:
                yield origin, _from_cells(row, origin)
            except InputError as error:
                yield origin, error


def _from_cells(row: Mapping[str, str], origin: str) -> Record:
    """A row of CSV, whose lists are JSON."""
    lists = {
        key: parse_json(row[key].encode(), origin, "a list", key)
        for key in (*PREDICTED, "truncated")
        if row.get(key)
    }
    carried = {key: cell for key, cell in row.items() if key not in _CELLS}
    return {
        **{key: row[key] for key in ("id", "text") if key in row},
        **{key: lists[key] for key in PREDICTED if key in lists},
        "picture": {"status": row["picture_status"], "reason": row.get("picture_reason", "")},
        "model": row["model"],
        **({"carried": carried} if carried else {}),
        **({"truncated": lists["truncated"]} if "truncated" in lists else {}),
    }


def _parquet(stream: BinaryIO, name: str) -> Iterator[tuple[str, Record | InputError]]:
    file, leaves = open_parquet(stream, name)
    results = is_result_table(leaves)
    for origin, row in parquet_rows(file, name, file.schema_arrow.names):
        yield origin, row if isinstance(row, InputError) or not results else _from_columns(row)


def _from_columns(row: Record) -> Record:
    """A row of Parquet: null stands for an absent key, and ``sources`` are a list."""
    record = _without_nulls(row)
    for key in PREDICTED:
        if isinstance(row.get(key), list):
            record[key] = [_prediction(item) for item in row[key]]
    return record


def _prediction(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    sources = {source["source"]: _others(source) for source in item.get("sources") or ()}
    return _without_nulls(item) | {"sources": sources}


def _others(source: Record) -> Record:
    return {key: value for key, value in source.items() if key != "source"}


def _without_nulls(record: Record) -> Record:
    return {key: value for key, value in record.items() if value is not None}
