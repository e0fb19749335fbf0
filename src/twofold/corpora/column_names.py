"""Names of columns and keys: which one holds which field of a post, and which are carried along."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twofold.corpora.annotation_tools import id_key
from twofold.corpora.json_types import is_missing
from twofold.corpora.lines import check_characters
from twofold.errors import ConfigError, DataError, InputError

FIELDS = ("id", "text", "image", "alt_text", "tokens", "entities", "relations", "regions")
"""Fields of a post."""


@dataclass(frozen=True)
class ColumnNames:
    """Names of columns, or of the keys of JSON objects.

    Attributes:
        renamed: column name by field; the column of a field that is not in it has the field's name.
        carried: columns that are carried along to the output.
        number_rows: whether a row without an id gets the id ``FILE:ROW``.

    Raises:
        ConfigError: a key of ``renamed`` is not a field of a post.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[str, ...] = ()
    number_rows: bool = False

    def __post_init__(self) -> None:
        for name in self.renamed:
            if name not in FIELDS:
                raise ConfigError(
                    f"columns has the unknown field {name!r}",
                    expected=f"fields of a post: {', '.join(FIELDS)}",
                )

    @classmethod
    def parse(cls, renamed: str = "", carried: str = "", number_rows: bool = False) -> ColumnNames:
        """Parse ``id=tweet_id,text=full_text`` and ``lang,created_at``.

        Raises:
            ConfigError: a field is unknown or named twice, or a name is missing.
        """
        pairs = [pair.partition("=") for pair in renamed.split(",")] if renamed else []
        names = {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
        for ours, theirs in names.items():
            if ours and theirs and ours not in FIELDS:
                raise ConfigError(
                    f"--columns has {ours}={theirs}, but {ours} is not a field of a post",
                    expected=f"FIELD=COLUMN, with one of the fields {', '.join(FIELDS)}",
                    do=f"write {theirs}={ours}" if theirs in FIELDS else "",
                )
        if len(names) < len(pairs) or not all(names) or not all(names.values()):
            raise ConfigError(
                f"--columns is {renamed!r}",
                expected="FIELD=COLUMN, each field once, separated by commas: id=COLUMN,text=COLUMN",
            )
        others = tuple(name.strip() for name in carried.split(",")) if carried else ()
        if not all(others) or len(set(others)) < len(others):
            raise ConfigError(f"--carry is {carried!r}", expected="names of columns, separated by commas")
        return cls(names, others, number_rows)

    def record(self, row: Mapping[str, Any], origin: str = "") -> Mapping[str, Any]:
        """A row with its columns renamed to the fields of a post.

        Args:
            row: values by the name of their column or key.
            origin: ``FILE:ROW`` of the row, the id of one without an id where rows are numbered.

        Raises:
            InputError: the row lacks the column that id or text is renamed to.
        """
        record = row
        if self.renamed:
            taken = set(self.renamed.values())
            record = {
                key: value for key, value in row.items() if key not in taken and key not in self.renamed
            }
            record |= {ours: row[theirs] for ours, theirs in self.renamed.items() if theirs in row}
        if self.number_rows and is_missing(record.get(id_key(record))):
            record = {**record, "id": origin}
        if self.renamed:
            self._check_renamed(row, record, origin)
        return record

    def _check_renamed(self, row: Mapping[str, Any], record: Mapping[str, Any], origin: str) -> None:
        """Check that id and text were found: a row of JSON, unlike one of a table, has its own keys."""
        found = {
            "text": "text" in record or not is_missing(record.get("tokens")),
            "id": id_key(record) in record,
        }
        for name, column in self.renamed.items():
            if found.get(name, True):
                continue
            raise InputError(
                f"the post has no key {column!r}, which --columns {name}={column} names",
                where=origin,
                expected=f"one of its keys: {', '.join(map(str, row))}"[:300],
                do="correct --columns, or add the key",
            )

    def carry(self, row: Mapping[str, Any], origin: str = "") -> dict[str, Any]:
        """The carried values, converted for JSON; None for a missing one.

        Raises:
            InputError: a value cannot be written as JSON.
        """
        carried = {name: _as_json(row.get(name), name, origin) for name in self.carried}
        check_characters(json.dumps(carried, ensure_ascii=False), "a carried column", origin)
        return carried

    def column(self, name: str, columns: Collection[str]) -> str | None:
        """The column of a field in a table; None if there is none.

        Raises:
            ConfigError: the field is renamed to a column that does not exist.
        """
        chosen = self.renamed.get(name, name)
        if chosen in columns:
            return chosen
        if name in self.renamed:
            raise ConfigError(
                f"there is no column {chosen!r} for {name}",
                expected=f"one of {', '.join(map(str, columns))}",
            )
        return None

    def used(self, columns: Iterable[str]) -> list[str]:
        """The columns of a table that are fields or carried along."""
        wanted = {self.renamed.get(name, name) for name in FIELDS} | set(self.carried)
        return [name for name in columns if name in wanted]

    def check(self, columns: Sequence[str], where: str) -> None:
        """Check that a table has all needed columns, and none of them twice.

        Raises:
            DataError: a column is missing, or there are two of it.
        """
        required = set() if self.number_rows else {"id"}
        if self.renamed.get("tokens", "tokens") not in columns:
            required.add("text")
        wanted = [self.renamed.get(name, name) for name in FIELDS if name in required or name in self.renamed]
        missing = [name for name in wanted if name not in columns]
        not_carried = [name for name in self.carried if name not in columns]
        twice = [name for name in self.used(columns) if columns.count(name) > 1]
        if not columns:
            raise DataError(
                "the table is empty", where=where, expected="a header row with the names of its columns"
            )
        if twice:
            raise DataError(
                f"has two columns {twice[0]!r}",
                where=where,
                expected="a different name for each column",
                do="rename one of them",
            )
        if missing or not_carried:
            ids = ", or let --number-rows make ids" if missing == ["id"] else ""
            raise DataError(
                f"has no column {', '.join(map(repr, missing or not_carried))}",
                where=where,
                expected=f"one of its columns: {', '.join(columns)}"[:300],
                do=f"name the columns with --columns id=COLUMN,text=COLUMN{ids}"
                if missing
                else "name columns of the file with --carry",
            )


DEFAULT_COLUMNS = ColumnNames()
"""Fields under their own names, nothing carried along."""


def _as_json(value: Any, name: str, origin: str) -> Any:
    """A value converted for JSON: dates and the like as text, bytes as their length, NaN as null."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
        return json.loads(text, parse_constant=lambda _: None)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{name} cannot be carried along", where=origin, expected="a value that JSON can hold"
        ) from error
