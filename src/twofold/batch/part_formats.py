"""Output formats: the bytes of one part, and how parts become one file.

Parts of JSON Lines and CSV, plain or compressed, are concatenated; those of Parquet are merged at the end.
The name of an output gives its format.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from twofold.errors import ConfigError
from twofold.extras import extra_module
from twofold.frames.arrow import extraction_schema, to_row
from twofold.posts import Extraction, Post
from twofold.records import to_record

Found = Sequence[tuple[Post, Extraction]]
_SUFFIXES = ("jsonl", "csv", "tsv", "parquet")
_COMPRESSIONS = ("", ".gz", ".zst")
PART_FORMATS = tuple(f"{s}{c}" for s in _SUFFIXES for c in _COMPRESSIONS if s != "parquet" or not c)
"""Names of the formats, which are the suffixes of their files."""
_OTHER_SUFFIXES = frozenset(
    (
        "json", "xlsx", "xls", "ods", "db", "sqlite", "sqlite3", "feather", "arrow", "orc", "avro", "pkl",
        "xml", "html", "htm", "pdf", "docx", "zip", "tar", "gz", "zst", "bz2", "xz",
    )
)  # fmt: skip
"""Suffixes of formats that are not written: JSON Lines under such a name could not be opened."""
_CSV_COLUMNS = (
    "id", "text", "entities", "relations", "picture_status", "picture_reason", "model", "truncated",
)  # fmt: skip
_ROW_GROUP = 16_384
"""Smallest number of rows of a row group of a single Parquet file."""


def format_of_name(name: str) -> str:
    """The output format that a file name implies; JSON Lines for an unknown suffix.

    Raises:
        ConfigError: the suffix is that of a format that is not written.
    """
    found = [part for part in PART_FORMATS if name.lower().endswith("." + part)]
    suffix = name.lower().rpartition(".")[2]
    if not found and suffix in _OTHER_SUFFIXES:
        array = ": JSON Lines are not one JSON value" if suffix == "json" else ""
        raise ConfigError(
            f"the format .{suffix} is not written{array}",
            where=name,
            expected="a name that ends in .jsonl, .csv or .tsv (each also with .gz or .zst) or .parquet",
            do="name another file, or choose the format with --format, such as --format jsonl",
        )
    return max(found, key=len, default="jsonl")


def check_format(name: str, carried: Sequence[str]) -> None:
    """Check that a format can be written here.

    Raises:
        ConfigError: the name is unknown, or a carried column has the name of a column of the results.
        MissingExtraError: the format needs a package that is not installed.
    """
    if name not in PART_FORMATS:
        raise ConfigError(f"the format {name!r} is not known", expected=f"one of {', '.join(PART_FORMATS)}")
    if name == "parquet" or name.endswith(".zst"):
        extra_module("pyarrow", "scale", f"Files of the format {name}")
    taken = sorted(set(carried) & set(_CSV_COLUMNS))
    if taken and name.startswith(("csv", "tsv")):
        raise ConfigError(
            f"--carry names {', '.join(taken)}, which are columns of the results",
            expected="other columns, in a CSV file",
        )


def encode(found: Found, name: str, carried: Sequence[str], header: bool) -> bytes:
    """The bytes of a part.

    Args:
        found: posts and their extractions.
        name: of the format.
        carried: input columns that are copied to the output.
        header: whether CSV or TSV begins with a line of column names.
    """
    if name == "parquet":
        return _parquet(found, carried)
    plain, _, compression = name.partition(".")
    if plain == "jsonl":
        data = b"".join(json_line(post, extraction).encode() + b"\n" for post, extraction in found)
    else:
        data = _csv(found, carried, "\t" if plain == "tsv" else ",", header).encode()
    return _COMPRESS[compression](data)


def _zstandard(data: bytes) -> bytes:
    compressed: bytes = extra_module("pyarrow", "scale", "Zstandard files").compress(
        data, codec="zstd", asbytes=True
    )
    return compressed


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": lambda data: gzip.compress(data, mtime=0),  # the same bytes in every run
    "zst": _zstandard,
}


def json_line(post: Post, extraction: Extraction) -> str:
    """The extraction of a post as a line of JSON, with the columns that the post carries along."""
    record = to_record(extraction) | ({"carried": dict(post.carried)} if post.carried else {})
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def _csv(found: Found, carried: Sequence[str], separator: str, header: bool) -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=separator, lineterminator="\n")
    if header:
        table.writerow([*_CSV_COLUMNS, *carried])
    for post, extraction in found:
        record = to_record(extraction)
        cells = [
            record["id"], record["text"], _json(record["entities"]), _json(record["relations"]),
            record["picture"]["status"], record["picture"]["reason"], record["model"],
            _json(record["truncated"]) if "truncated" in record else "",
        ]  # fmt: skip
        table.writerow([*cells, *(_cell(post.carried.get(name)) for name in carried)])
    return text.getvalue()


def _cell(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def parquet_schema(carried: Sequence[str]) -> Any:
    """The Arrow schema of results in Parquet: `extraction_schema` with ids as text, and carried columns.

    Carried values are text, other types as JSON, since their types may differ between files.
    """
    pa = extra_module("pyarrow", "scale", "Parquet files")
    schema = extraction_schema()
    schema = schema.remove(schema.get_field_index("error"))
    return (
        schema.append(pa.field("carried", pa.struct({name: pa.string() for name in carried})))
        if carried
        else schema
    )


def _parquet(found: Found, carried: Sequence[str]) -> bytes:
    pa = extra_module("pyarrow", "scale", "Parquet files")
    parquet = extra_module("pyarrow.parquet", "scale", "Parquet files")
    rows = []
    for post, extraction in found:
        row = to_row(extraction) | {"id": str(extraction.id)}
        del row["error"]
        if carried:
            row["carried"] = {name: _cell(post.carried.get(name)) for name in carried}
        rows.append(row)
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows, parquet_schema(carried)), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def assemble_parquet(parts: Iterable[bytes], carried: Sequence[str], write: Callable[[bytes], None]) -> None:
    """Merge Parquet parts into one file, with row groups of a suitable size.

    Args:
        parts: bytes of the parts, in order; they are consumed one by one.
        carried: input columns that are copied to the output.
        write: is called with the bytes of the file.
    """
    pa = extra_module("pyarrow", "scale", "Parquet files")
    parquet = extra_module("pyarrow.parquet", "scale", "Parquet files")
    schema = parquet_schema(carried)
    sink = pa.PythonFile(_Sink(write), mode="w")
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for tables in _grouped(parquet.read_table(pa.BufferReader(part)) for part in parts):
            table = pa.concat_tables(tables)
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def _grouped(tables: Iterator[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    for table in tables:
        group.append(table)
        if sum(table.num_rows for table in group) >= _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


class _Sink(io.RawIOBase):
    """A write-only file, without seeking, that passes its bytes to a function."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write, self._position = write, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        data = bytes(data)
        self._write(data)
        self._position += len(data)
        return len(data)
