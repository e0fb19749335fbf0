"""Extractions as Arrow columns: the published schema, and record batches with it.

The fields are those of a line of JSON (``schemas/extraction.schema.json``), with two differences that typed
columns need: ``sources`` is a list with the name of each source in ``source``, and keys that a line lacks are
null. This module does not read tables of posts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twofold.extras import extra_module
from twofold.posts import Extraction, Rejected
from twofold.records import to_record

if TYPE_CHECKING:
    import pyarrow

RESULTS = ("entities", "relations", "picture", "model", "truncated", "error")
"""Columns of results, besides ``id`` and ``text``."""


def arrow() -> Any:
    """The module ``pyarrow``.

    Raises:
        MissingExtraError: it is not installed.
    """
    return extra_module("pyarrow", "scale", "Arrow tables and DataFrames of Polars")


def extraction_schema(id_type: pyarrow.DataType | None = None) -> pyarrow.Schema:
    """The Arrow schema of extractions, one row per post; Parquet and Spark can store it.

    Args:
        id_type: type of the ids; None for text.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pa = arrow()
    text, number, index = pa.string(), pa.float64(), pa.int32()
    uncertainty = pa.struct({"aleatoric": number, "epistemic": number})
    source = pa.struct({"source": text, "share": number, "aleatoric": number, "epistemic": number})
    prediction = {
        "review": pa.bool_(),
        "candidates": pa.list_(text),
        "confidence": number,
        "uncertainty": uncertainty,
        "sources": pa.list_(source),
    }
    entity = {"start": index, "end": index, "text": text, "type": text}
    relation = {"head": index, "tail": index, "type": text}
    fields = {
        "id": id_type or text,
        "text": text,
        "entities": pa.list_(pa.struct(entity | prediction)),
        "relations": pa.list_(pa.struct(relation | prediction)),
        "picture": pa.struct({"status": text, "reason": text}),
        "model": text,
        "truncated": pa.list_(pa.struct({"what": text, "read": index, "total": index})),
        "error": text,
    }
    return pa.schema(fields)


def to_row(result: Extraction | Rejected) -> dict[str, Any]:
    """A row of the schema without its id, as plain data; a rejected post has only an ``error``."""
    if isinstance(result, Rejected):
        return dict.fromkeys(("text", *RESULTS)) | {"error": result.reason}
    record = {"truncated": None, "error": None} | to_record(result)
    del record["id"]
    for items in (record["entities"], record["relations"]):
        for item in items:
            item["sources"] = [{"source": name, **values} for name, values in item["sources"].items()]
    return record


def result_columns(results: Sequence[Extraction | Rejected], names: Sequence[str]) -> dict[str, list[Any]]:
    """Values of some columns of the schema, as plain data."""
    rows = [to_row(result) for result in results]
    return {name: [row[name] for row in rows] for name in names}


def result_arrays(
    results: Sequence[Extraction | Rejected], names: Sequence[str]
) -> dict[str, pyarrow.Array]:  # fmt: skip
    """Some columns of the schema, by their names."""
    pa, schema = arrow(), extraction_schema()
    columns = result_columns(results, names)
    return {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}


def result_batch(
    results: Sequence[Extraction | Rejected],
    ids: pyarrow.Array,
    kept: Mapping[str, pyarrow.Array],
) -> pyarrow.RecordBatch:
    """A record batch with this schema, followed by the kept columns."""
    arrays = {"id": ids} | result_arrays(results, ("text", *RESULTS)) | dict(kept)
    batch: pyarrow.RecordBatch = arrow().RecordBatch.from_pydict(arrays)
    return batch
