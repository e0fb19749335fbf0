"""Extraction from tables, compared with extraction from posts: the same results in typed columns."""

from __future__ import annotations

import functools
import json
import pickle
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import tiny_model

import twofold
from twofold.errors import ConfigError, DataError, InputError, MissingExtraError
from twofold.frames.arrow import RESULTS, extraction_schema, to_row
from twofold.records import to_record

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pandas = pytest.importorskip("pandas", reason="pandas is not installed")

POSTS = [
    {"id": 10, "text": "Anna Smith left paris with NASA", "alt_text": "a square"},
    {"id": 11, "text": "nothing"},
    {"id": 12, "text": "Bob and Carl of NATO in paris"},
    {"id": 13, "text": ""},
]


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    tiny_model.build(models / "tagger")
    tiny_model.build_relations(models / "relations")
    return twofold.load(models / "tagger", relation_model=models / "relations", threads=1, coverage=None)


@pytest.fixture(scope="module")
def records(extractor):
    return [to_record(extraction) for extraction in extractor.extract(POSTS)]


def as_json(row: Any) -> Any:
    """A row in the form of a line of JSON: without nulls, and with sources by name."""
    if isinstance(row, dict):
        kept = {key: as_json(value) for key, value in row.items() if value is not None}
        if isinstance(kept.get("sources"), list):
            kept["sources"] = {item.pop("source"): item for item in kept["sources"]}
        return kept
    return [as_json(item) for item in row] if isinstance(row, list) else row


def table(**columns) -> pa.Table:
    posts = {name: [post.get(name) for post in POSTS] for name in ("id", "text", "alt_text")}
    return pa.table(posts | columns)


def batches(sizes) -> list[pa.RecordBatch]:
    whole, place, found = table().combine_chunks().to_batches()[0], 0, []
    for size in sizes:
        found.append(whole.slice(place, size))
        place += size
    return found


# --- batches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[4], [1, 1, 1, 1], [0, 3, 0, 0, 1, 0], [0]])
def test_each_batch_gives_a_batch_with_the_same_number_of_rows(extractor, records, sizes):
    found = list(extractor.map_batches(batches(sizes)))
    assert [batch.num_rows for batch in found] == sizes
    rows = [as_json(row) for batch in found for row in batch.to_pylist()]
    assert rows == records[: sum(sizes)]
    for batch in found:
        assert batch.schema == extraction_schema(pa.int64())


def test_batches_are_consumed_as_they_are_needed(extractor):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield table().to_batches()[0]

    found = extractor.map_batches(endless(), batch_size=1)
    assert next(found).num_rows == 4
    assert len(taken) < 20


def test_the_published_schema_of_json_has_the_fields_of_the_arrow_schema():
    schema = json.loads(
        resources.files("twofold").joinpath("schemas/extraction.schema.json").read_text(encoding="utf-8")
    )
    arrow = extraction_schema()
    # Carried columns are separate columns here.
    assert {*arrow.names} - {"error"} == {*schema["properties"]} - {"carried"}
    for name in ("entities", "relations", "truncated"):
        items = schema["properties"][name]["items"]
        items = schema["$defs"][items["$ref"].rpartition("/")[2]] if "$ref" in items else items
        assert {f.name for f in arrow.field(name).type.value_type} == {*items["properties"]}


def test_an_invalid_row_is_returned_with_the_reason(extractor, records, tmp_path):
    posts = pa.table({"id": [10, 1, 11], "text": [POSTS[0]["text"], None, "nothing"]})
    with_alt = posts.append_column("alt_text", pa.array(["a square", None, None]))
    (good, bad, other) = next(extractor.map_batches([with_alt])).to_pylist()
    assert [as_json(good), as_json(other)] == records[:2]
    assert bad.pop("id") == 1
    assert bad.pop("error").startswith("text is null")
    assert set(bad.values()) == {None}
    with pytest.raises(InputError, match="row 1: text is null"):
        list(extractor.map_batches([with_alt], on_error="raise"))
    with pytest.raises(ConfigError, match="on_error is 'skip'"):
        extractor.map_batches([with_alt], on_error="skip")


def test_a_post_that_is_too_long_is_an_error_too(tmp_path):
    short = twofold.load(tiny_model.build(tmp_path / "model"), threads=1, max_characters=8)
    frame = pandas.DataFrame({"text": ["Anna", "Anna " * 9]})
    with pytest.raises(InputError, match=r"row 1: .*8"):
        short.extract_frame(frame)
    assert short.extract_frame(frame, on_error="reject")["error"].notna().tolist() == [False, True]


def test_renamed_columns_and_kept_columns(extractor, records):
    other = table(likes=[5, 6, 7, 8]).rename_columns(["tweet", "full_text", "alt_text", "likes"])
    columns = {"id": "tweet", "text": "full_text"}
    (batch,) = extractor.map_batches([other.to_batches()[0]], columns=columns, keep=["likes"])
    assert batch.schema.names == [*extraction_schema().names, "likes"]
    assert batch.column("likes").to_pylist() == [5, 6, 7, 8]
    assert [as_json(row) for row in batch.drop_columns(["likes"]).to_pylist()] == records
    for message, options in [
        ("no column 'tweeet' for id", {"columns": columns | {"id": "tweeet"}}),
        ("columns has the unknown field 'body'", {"columns": {"body": "full_text"}}),
        ("no column 'shares' to keep", {"columns": columns, "keep": ["shares"]}),
        ("has its name", {"columns": {"text": "text"}, "keep": ["text"]}),
    ]:
        posts = table() if "has its name" in message else other
        with pytest.raises(ConfigError, match=message):
            list(extractor.map_batches([posts], **options))
    with pytest.raises(InputError, match=r"no column text.*tweet.*columns="):
        list(extractor.map_batches([other]))


def test_rows_without_ids_are_numbered_through(extractor):
    found = extractor.map_batches(batch.drop_columns(["id"]) for batch in batches([3, 1]))
    assert [batch.column("id").to_pylist() for batch in found] == [[0, 1, 2], [3]]


def test_pictures_as_paths_bytes_and_pairs_of_both_stay_in_their_folder(extractor, tmp_path):
    photo = Path(__file__).parents[2] / "examples" / "photos" / "brandenburgGate.jpg"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "out.jpg").write_bytes(photo.read_bytes())

    def statuses(images, **options):
        posts = pa.table({"text": ["Anna"] * len(images), "image": images})
        (batch,) = extractor.map_batches([posts], images=tmp_path / "in", **options)
        return [row["status"] for row in batch.column("picture").to_pylist()]

    assert statuses(["a.jpg", "../out.jpg", None]) == ["read", "unreadable", "none"]
    assert statuses(["../out.jpg"], allow_outside=True) == ["read"]
    assert statuses([photo.read_bytes()]) == ["read"]
    pairs = [{"bytes": photo.read_bytes(), "path": "x.jpg"}, {"bytes": None, "path": "a.jpg"}]
    assert statuses(pairs) == ["read", "read"]


def test_the_method_can_be_sent_to_a_worker(extractor, records):
    work = pickle.loads(pickle.dumps(functools.partial(extractor.map_batches, keep=["alt_text"])))
    (batch,) = work([table()])
    assert [as_json(row) for row in batch.drop_columns(["alt_text"]).to_pylist()] == records


# --- frames --------------------------------------------------------------------------------------------


def plain(value):
    return value.to_pylist() if hasattr(value, "to_pylist") else value.to_list()


def frames():
    posts = table(likes=[5, 6, 7, 8])
    yield "pandas", posts.to_pandas().set_index([["a", "b", "c", "d"]])
    yield "arrow", posts
    yield "batch", posts.to_batches()[0]
    if polars := sys.modules.get("polars") or _polars():
        yield "polars", polars.from_arrow(posts)


def _polars():
    try:
        import polars
    except ImportError:
        return None
    return polars


@pytest.mark.parametrize("kind", ["pandas", "arrow", "batch", "polars"])
def test_a_frame_gets_columns_of_results(extractor, records, kind):
    given = dict(frames()).get(kind)
    if given is None:
        pytest.skip(f"{kind} is not installed")
    found = extractor.extract_frame(given)
    assert type(found) is type(given)
    names = list(given.schema.names if kind in ("arrow", "batch") else given.columns)
    assert list(found.schema.names if kind in ("arrow", "batch") else found.columns) == [
        *names, *RESULTS[:-1],
    ]  # fmt: skip
    for name in ("entities", "relations", "picture", "model"):
        assert [as_json(value) for value in plain(found[name])] == [record[name] for record in records]
    assert plain(found["likes"]) == [5, 6, 7, 8]
    if kind == "pandas":
        assert list(found.index) == ["a", "b", "c", "d"]
        assert list(given.columns) == names  # the given frame is unchanged
    assert len(extractor.extract_frame(given[:0])) == 0


def test_other_tables_come_out_as_arrow(extractor, records):
    class Capsule:
        def __arrow_c_stream__(self, requested_schema=None):
            return table().__arrow_c_stream__(requested_schema)

    found = extractor.extract_frame(Capsule())
    assert isinstance(found, pa.Table)
    assert [as_json(value) for value in found["entities"].to_pylist()] == [r["entities"] for r in records]


def test_other_objects_and_existing_column_names_are_refused(extractor):
    with pytest.raises(InputError, match=r"got a dict; expected a DataFrame.*extract\(\)"):
        extractor.extract_frame({"text": ["Anna"]})
    with pytest.raises(InputError, match="several columns are named 'text'"):
        extractor.extract_frame(pandas.DataFrame([["a", "b"]], columns=["text", "text"]))
    labelled = pandas.DataFrame({"text": ["Anna"], "entities": [[]]})
    with pytest.raises(ConfigError, match=r"already has a column 'entities'.*prefix="):
        extractor.extract_frame(labelled)
    found = extractor.extract_frame(labelled, prefix="found_")
    assert [entity["text"] for entity in found["found_entities"][0]] == ["Anna"]
    if polars := _polars():
        with pytest.raises(InputError, match=r"got a LazyFrame.*collect it first"):
            extractor.extract_frame(polars.LazyFrame({"text": ["Anna"]}))


def test_columns_of_results_are_not_read_as_gold_unless_named(extractor, records, tmp_path):
    frame = table().to_pandas()
    frame["entities"] = [{"hashtags": []}] * 4  # as Twitter's own
    again = extractor.extract_frame(extractor.extract_frame(frame, prefix="a_"), prefix="b_")
    found = extractor.extract_frame(extractor.extract_frame(table()), prefix="b_")
    for name in ("entities", "relations"):
        expected = [record[name] for record in records]
        assert [as_json(value) for value in again[f"b_{name}"]] == expected
        assert [as_json(value) for value in found[f"b_{name}"].to_pylist()] == expected
    (batch,) = extractor.map_batches([found])
    assert [as_json(row) for row in batch.to_pylist()] == records
    with pytest.raises(InputError, match="row 0: entities is an object"):
        extractor.extract_frame(frame, columns={"entities": "entities"}, prefix="b_")
    alone = twofold.load(tiny_model.build_relations(tmp_path / "relations"), threads=1)
    with pytest.raises(ConfigError, match=r'a relation model alone finds no entities.*columns=\{"entities"'):
        alone.extract_frame(found, prefix="c_")
    related = alone.extract_frame(found, columns={"entities": "entities"}, prefix="c_")
    assert any(related["c_relations"].to_pylist())


def test_ids_that_pandas_made_floats(extractor):
    frame = pandas.DataFrame({"id": [10.0, None, 2.0**53, 1.5], "text": ["Anna", "Bob", "Carl", ""]})
    found = extractor.extract_frame(frame, on_error="reject")
    assert [error and error.partition(";")[0] for error in found["error"]] == [
        None,
        "id is missing",
        "id is the floating-point number 9007199254740992, whose last digits may be lost",
        "id is the number 1.5",
    ]
    assert 'read the ids as text (dtype={"id": str}' in found["error"][2]
    text = pandas.DataFrame({"text": ["Anna", float("nan")]})
    with pytest.raises(InputError, match="row 1: text is missing"):
        extractor.extract_frame(text)


def test_a_missing_folder_of_pictures_is_an_error_at_once(extractor, tmp_path):
    for extract in (extractor.extract_frame, extractor.map_batches):
        with pytest.raises(DataError, match="nope: no such folder; expected a folder of pictures"):
            extract(table(), images=tmp_path / "nope")


def test_numbers_as_names_of_columns(extractor):
    frame = pandas.DataFrame({"id": [1], 0: ["Anna"]})
    for name in (0, "0"):
        assert len(extractor.extract_frame(frame, columns={"text": name})["entities"][0]) == 1
    with pytest.raises(ConfigError, match="no column '7' for text; expected one of id, 0"):
        extractor.extract_frame(frame, columns={"text": 7})


def test_keep_is_a_list(extractor):
    with pytest.raises(ConfigError, match=r"keep is the text 'likes'.*keep=\['likes'\]"):
        extractor.map_batches([table()], keep="likes")


def test_a_table_without_columns_and_a_batch_of_datasets(extractor):
    with pytest.raises(InputError, match="the table has no columns; expected a column text or tokens"):
        extractor.extract_frame(pandas.DataFrame())
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    posts = datasets.Dataset.from_dict({"text": ["Anna"]})
    with pytest.raises(InputError, match=r'got a LazyBatch.*with_format\("arrow"\)'):
        posts.map(extractor.extract_frame, batched=True)


def test_a_single_column_is_not_a_table(extractor):
    for column in (pandas.Series(["Anna"]), pa.chunked_array([["Anna"]])):
        with pytest.raises(InputError, match="which is not a table"):
            extractor.extract_frame(column)
    for batches in ([None], ["Anna"], pa.table({"id": [1], "text": ["Anna"]})):
        with pytest.raises(InputError, match="Arrow record batches"):
            list(extractor.map_batches(batches))


def test_pandas_needs_no_pyarrow_and_others_name_the_extra(extractor, monkeypatch):
    given = table()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = pandas.DataFrame({"text": ["Anna left"], "alt_text": [float("nan")]})
    assert extractor.extract_frame(frame)["entities"][0][0]["text"] == "Anna"
    for extract in (extractor.extract_frame, lambda x: list(extractor.map_batches([x]))):
        with pytest.raises(MissingExtraError, match=r"pyarrow.*twofold\[scale\]"):
            extract(given)


def test_a_rejected_row_has_only_its_error():
    row = to_row(twofold.Rejected("row 1", "no text", ""))
    assert {name for name, value in row.items() if value is not None} == {"error"}
    assert {*row} | {"id"} == {*extraction_schema().names}
