"""Reads the rows of a table as posts.

The columns are ``id``, ``text`` or ``tokens``, ``image`` (a path, bytes, or ``{"bytes": …, "path": …}`` as in
Hugging Face), ``alt_text`` and ``regions``, as in a line of JSON. Gold ``entities`` and ``relations`` are
read only from columns that are named for them, because tables of results have columns with these names.
Without ids, rows are numbered from 0. This module does not depend on the kind of table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from twofold.corpora.attachments import check_folder
from twofold.corpora.column_names import DEFAULT_COLUMNS, FIELDS, ColumnNames
from twofold.corpora.confinement import confined
from twofold.corpora.json_types import as_python
from twofold.corpora.jsonl import parse_post
from twofold.corpora.lines import rejected
from twofold.errors import InputError
from twofold.posts import Post, Rejected

_GOLD = ("entities", "relations")
_EXACT = 2**53
"""Below it, a float holds every whole number exactly."""


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

    Raises:
        DataError: there is no such folder.
    """

    columns: ColumnNames = DEFAULT_COLUMNS
    images: Path = field(default_factory=Path)
    allow_outside: bool = False

    def __post_init__(self) -> None:
        check_folder(self.images)
        self._numbers = count()

    def posts(self, table: Columns) -> Iterator[Post | Rejected]:
        """The rows in order.

        Raises:
            InputError, ConfigError: there is no column of texts, or a named column does not exist.
        """
        items = self._items(table)
        return items if self.allow_outside else confined(items, self.images)

    def _items(self, table: Columns) -> Iterator[Post | Rejected]:
        wanted = [name for name in FIELDS if name not in _GOLD or name in self.columns.renamed]
        found = {name: self.columns.column(name, table.names) for name in wanted}
        if not table.names:
            raise InputError("the table has no columns", expected="a column text or tokens")
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
            origin = f"row {number}"
            try:
                record["id"] = _id(record["id"], origin)
                yield parse_post(record, origin, self.images)
            except InputError as error:
                yield rejected(error, origin.encode())


def _id(value: Any, origin: str) -> Any:
    """The id, as a whole number where pandas made it a float because another row has none.

    Raises:
        InputError: it is a float too large to hold every digit of an id.
    """
    number = as_python(value)
    if not isinstance(number, float) or not number.is_integer():
        return value
    if abs(number) >= _EXACT:
        raise InputError(
            f"id is the floating-point number {number:.0f}, whose last digits may be lost",
            where=origin,
            expected="text or a whole number",
            do='read the ids as text (dtype={"id": str} in pandas.read_csv), or convert their column with '
            'astype("Int64") before it has missing values',
        )
    return int(number)
