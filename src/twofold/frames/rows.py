"""Rows of a table as posts, read from the columns that posts have.

``id``, ``text`` or ``tokens``, ``image`` (a path, bytes, or the ``{"bytes": …, "path": …}`` of Hugging
Face), ``alt_text``, ``regions``, ``entities`` and ``relations``, as in a line of JSON. Without ids, rows are
numbered from 0. It does not know what kind of table it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from twofold.corpora.column_names import FIELDS
from twofold.corpora.confinement import confined
from twofold.corpora.jsonl import parse_post
from twofold.corpora.lines import rejected
from twofold.errors import ConfigError, InputError
from twofold.posts import Post, Rejected


class Columns(NamedTuple):
    """A table by its columns.

    Attributes:
        names: of all columns. values: values of the column of a name, as plain data. rows: their number.
    """

    names: Collection[str]
    values: Callable[[str], list[Any]]
    rows: int


@dataclass
class RowReader:
    """Turns rows into posts, over any number of tables.

    Attributes:
        columns: name of the column of a post's field, where it is another than the field's.
        images: folder of the pictures: their paths are relative to it, and none outside is opened; None for
            the working folder.
        allow_outside: whether pictures outside that folder are opened, too.

    Raises:
        ConfigError: ``columns`` names what is no field of a post.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    images: Path = field(default_factory=Path)
    allow_outside: bool = False

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in FIELDS:
                raise ConfigError(
                    f"columns names {name!r}", expected=f"fields of a post: {', '.join(FIELDS)}"
                )
        self._numbers = count()

    def column(self, name: str, names: Collection[str]) -> str | None:
        """The column of a field; None where there is none.

        Raises:
            ConfigError: it was named, and is not there.
        """
        chosen = self.columns.get(name, name)
        if chosen in names:
            return chosen
        if name in self.columns:
            raise ConfigError(
                f"there is no column {chosen!r} for {name}", expected=f"one of {', '.join(map(str, names))}"
            )
        return None

    def posts(self, table: Columns) -> Iterator[Post | Rejected]:
        """The rows in order.

        Raises:
            InputError, ConfigError: there is no text, or a column that was named is not there.
        """
        items = self._items(table)
        return items if self.allow_outside else confined(items, self.images)

    def _items(self, table: Columns) -> Iterator[Post | Rejected]:
        found = {name: self.column(name, table.names) for name in FIELDS}
        if found["text"] is None and found["tokens"] is None:
            raise InputError(
                "the table has no column text",
                expected=f"text or tokens among the columns; there are {', '.join(map(str, table.names))}",
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
