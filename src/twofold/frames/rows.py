"""Reads the rows of a table as posts.

The columns are ``id``, ``text`` or ``tokens``, ``image`` (a path, bytes, or ``{"bytes": …, "path": …}`` as in
Hugging Face), ``alt_text``, ``regions``, ``entities`` and ``relations``, as in a line of JSON. Without ids,
rows are numbered from 0. This module does not depend on the kind of table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from twofold.corpora.column_names import DEFAULT_COLUMNS, FIELDS, ColumnNames
from twofold.corpora.confinement import confined
from twofold.corpora.jsonl import parse_post
from twofold.corpora.lines import rejected
from twofold.errors import InputError
from twofold.posts import Post, Rejected


class Columns(NamedTuple):
    """A table by its columns.

    Attributes:
        names: of all columns. values: returns the values of a column, as plain data. rows: number of rows.
    """

    names: Collection[str]
    values: Callable[[str], list[Any]]
    rows: int


@dataclass
class RowReader:
    """Turns rows into posts, over any number of tables.

    Attributes:
        columns: maps columns to fields of a post.
        images: folder of the pictures: paths are relative to it, and pictures outside are not opened; by
            default the working folder.
        allow_outside: whether pictures outside that folder are opened, too.
    """

    columns: ColumnNames = DEFAULT_COLUMNS
    images: Path = field(default_factory=Path)
    allow_outside: bool = False

    def __post_init__(self) -> None:
        self._numbers = count()

    def posts(self, table: Columns) -> Iterator[Post | Rejected]:
        """The rows in order.

        Raises:
            InputError, ConfigError: there is no column of texts, or a named column does not exist.
        """
        items = self._items(table)
        return items if self.allow_outside else confined(items, self.images)

    def _items(self, table: Columns) -> Iterator[Post | Rejected]:
        found = {name: self.columns.column(name, table.names) for name in FIELDS}
        if found["text"] is None and found["tokens"] is None:
            raise InputError(
                "the table has no column text",
                expected=f"text or tokens among the columns, which are {', '.join(map(str, table.names))}",
                do='name it: columns={"text": "…"}',
            )
        values = {name: table.values(column) for name, column in found.items() if column is not None}
        for row in range(table.rows):
            number = next(self._numbers)
            record = {"id": number} | {name: column[row] for name, column in values.items()}
            try:
                yield parse_post(record, f"row {number}", self.images)
            except InputError as error:
                yield rejected(error, f"row {number}".encode())
