"""Posts of a table as text: CSV, with commas, semicolons or tabs between, and a heading.

A cell may hold line breaks in quotation marks. Cells of ``entities``, ``relations``, ``regions`` and
``tokens`` hold JSON. Ids are text. It does not open pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.jsonl import parse_json, parse_row
from twofold.corpora.lines import MAX_BYTES, rejected, unreadable
from twofold.errors import InputError
from twofold.posts import Post, Rejected

_JSON = ("entities", "relations", "regions", "tokens")


def read_csv(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    """Posts of a table, in order; blank lines are none.

    Args:
        stream: of the file, unpacked.
        name: how messages call it.
        folder: what paths of pictures are relative to.
        attachments: where pictures and alternative texts are.
        columns: names of its columns.

    Raises:
        DataError: the heading lacks a column (at the first post), or the stream cannot be read to its end.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _posts(text, name, folder, attachments, columns)
    finally:
        text.detach()  # whoever opened the stream closes it


def _posts(
    text: io.TextIOWrapper, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    heading = _guarded(text.readline, name)
    separator = max(",;\t", key=heading.count)
    names = next(csv.reader([heading], delimiter=separator), [])
    columns.check(names, name)
    csv.field_size_limit(MAX_BYTES)
    rows = csv.reader(text, delimiter=separator, strict=True)
    while True:
        line = rows.line_num + 2  # after the heading
        try:
            cells = _guarded(lambda: next(rows, None), name)
        except csv.Error as error:
            yield rejected(InputError(f"the row is not CSV: {error}", where=f"{name}:{line}"), b"")
            continue
        if cells is None:
            return
        if cells:
            yield _post(cells, names, f"{name}:{line}", folder, attachments, columns)


def _guarded(read: Any, name: str) -> Any:
    try:
        return read()
    except OSError as error:
        raise unreadable(error, name) from error


def _post(
    cells: list[str],
    names: list[str],
    origin: str,
    folder: Path,
    attachments: Attachments | None,
    columns: ColumnNames,
) -> Post | Rejected:
    try:
        if len(cells) != len(names):
            raise InputError(
                f"the row has {len(cells)} cells",
                where=origin,
                expected=f"{len(names)}, as the heading has",
                do="put cells with separators or line breaks into quotation marks",
            )
        try:
            "".join(cells).encode()
        except UnicodeEncodeError as error:  # other bytes came as surrogates
            raise InputError(
                "the row is not UTF-8", where=origin, expected="UTF-8", do="save the file as UTF-8"
            ) from error
        row = dict(zip(names, cells, strict=True))
        return parse_row(_typed(row, columns, origin), origin, folder, attachments, columns)
    except InputError as error:
        return rejected(error, ",".join(cells).encode("utf-8", "surrogateescape"))


def _typed(row: dict[str, str], columns: ColumnNames, origin: str) -> dict[str, Any]:
    """Empty cells but that of the text as nothing, cells of lists as lists."""
    text = columns.renamed.get("text", "text")
    typed: dict[str, Any] = {name: cell or ("" if name == text else None) for name, cell in row.items()}
    for field in _JSON:
        name = columns.renamed.get(field, field)
        if typed.get(name):
            typed[name] = parse_json(typed[name].encode(), origin, "a list", name)
    return typed
