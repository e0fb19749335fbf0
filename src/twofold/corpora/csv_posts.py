"""Posts of a CSV table, separated by commas, semicolons or tabs, with a header row.

A quoted cell may contain line breaks. Cells of ``entities``, ``relations``, ``regions`` and
``tokens`` hold JSON. Ids are text. It does not open pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.jsonl import parse_json, parse_row
from twofold.corpora.lines import MAX_BYTES, rejected, unreadable
from twofold.corpora.result_record import PREDICTED, is_result_table
from twofold.errors import DataError, InputError
from twofold.posts import Post, Rejected

_RAW_LENGTH = 1000


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        origin: ``NAME:LINE``, where it begins.
        cells: by the names of their columns; an InputError for a row that cannot be read.
        raw: the beginning of a row that cannot be read; empty for others.
    """

    origin: str
    cells: dict[str, str] | InputError
    raw: bytes = b""


_JSON = ("entities", "relations", "regions", "tokens")


def read_csv(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    """Posts of a table, in order; blank lines are skipped.

    Args:
        stream: the file's content, unpacked.
        name: of the file, for messages.
        folder: folder that paths of pictures are relative to.
        attachments: where pictures and alternative texts are.
        columns: which column holds which field of a post.

    Raises:
        DataError: the header row lacks a column (at the first post), or the stream cannot be read to its end.
    """
    with csv_table(stream, name) as (names, rows):
        columns.check(names, name)
        predicted = PREDICTED if is_result_table(names) else ()
        for origin, row, raw in rows:
            try:
                if isinstance(row, InputError):
                    raise row
                used = {key: cell for key, cell in row.items() if key not in predicted} if predicted else row
                yield parse_row(_typed(used, columns, origin), origin, folder, attachments, columns)
            except InputError as error:
                yield rejected(error, raw if isinstance(row, InputError) else _raw(row.values()))


@contextmanager
def csv_table(stream: BinaryIO, name: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The names of the columns of a table, none if it is empty, and its rows, read lazily.

    Args:
        stream: the file's content, unpacked.
        name: of the file, for messages.

    Raises:
        DataError: there is no header row, or the stream cannot be read to its end.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    csv.field_size_limit(max(MAX_BYTES, csv.field_size_limit()))
    try:
        lines = _Lines(text, name)
        separator, names = _header(lines, name)
        yield names, _rows(lines, separator, names)
    finally:
        text.detach()  # the caller closes the stream


def _rows(lines: _Lines, separator: str, names: Sequence[str]) -> Iterator[Row]:
    rows = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(rows, None)
        except csv.Error as error:
            found = InputError(f"the row is not CSV: {error}", where=lines.origin)
            yield Row(lines.origin, found, lines.raw)
            continue
        except InputError as error:
            yield Row(lines.origin, error, lines.raw)
            continue
        if cells is None:
            return
        if cells:
            row = _row(cells, names, lines.origin)
            yield Row(lines.origin, row, _raw(cells) if isinstance(row, InputError) else b"")


def _raw(cells: Iterable[str]) -> bytes:
    return ",".join(cells).encode("utf-8", "surrogateescape")


def _header(lines: _Lines, name: str) -> tuple[str, list[str]]:
    """The separator and the names of the columns; no names if the table is empty."""
    lines.begin()
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    try:
        return separator, next(csv.reader(chain([first], lines), delimiter=separator, strict=True), [])
    except (csv.Error, InputError) as error:
        raise DataError(
            "the first line is not a header row",
            where=name,
            expected="a table with the names of its columns in its first line",
        ) from error


class _Lines(Iterator[str]):
    """Lines of a table; a row may span several lines, up to `MAX_BYTES` in all."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text, self._name = text, name
        self._number = self._first = self._size = 0
        self._beginning = ""

    def begin(self) -> None:
        """Begin a row."""
        self._first, self._size, self._beginning = self._number + 1, 0, ""

    @property
    def origin(self) -> str:
        """Where the row began."""
        return f"{self._name}:{self._first}"

    @property
    def raw(self) -> bytes:
        """The beginning of the row."""
        return self._beginning.encode("utf-8", "surrogateescape")

    def __next__(self) -> str:
        line = self._read(MAX_BYTES - self._size + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._size += len(line)
        self._beginning += line[: _RAW_LENGTH - len(self._beginning)]
        if self._size > MAX_BYTES:
            while line and not line.endswith(("\n", "\r")):
                line = self._read(1 << 20)
            raise InputError(
                f"the row is longer than {MAX_BYTES >> 20} MB",
                where=self.origin,
                expected="a shorter one",
                do="look for a quotation mark that is not closed",
            )
        return line

    def _read(self, size: int) -> str:
        try:
            return self._text.readline(size)
        except OSError as error:
            raise unreadable(error, self._name) from error


def _row(cells: list[str], names: Sequence[str], origin: str) -> dict[str, str] | InputError:
    if len(cells) != len(names):
        return InputError(
            f"the row has {len(cells)} cells",
            where=origin,
            expected=f"{len(names)}, as in the header row",
            do="put cells with separators or line breaks into quotation marks",
        )
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:  # other bytes were decoded as surrogates
        return InputError("the row is not UTF-8", where=origin, expected="UTF-8", do="save the file as UTF-8")
    return dict(zip(names, cells, strict=True))


def _typed(row: dict[str, str], columns: ColumnNames, origin: str) -> dict[str, Any]:
    """The row with its lists parsed, and None for empty cells other than the text."""
    text = columns.renamed.get("text", "text")
    typed: dict[str, Any] = {name: cell or ("" if name == text else None) for name, cell in row.items()}
    for field in _JSON:
        name = columns.renamed.get(field, field)
        if typed.get(name):
            typed[name] = parse_json(typed[name].encode(), origin, "a list", name)
    return typed
