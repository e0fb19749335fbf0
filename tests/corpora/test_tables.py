"""Tables written by other libraries give the posts that went into them; a broken row costs no other."""

from __future__ import annotations

import csv
import gc
import gzip
import io
import json
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from twofold.corpora import ColumnNames, csv_posts, open_corpus
from twofold.errors import ConfigError, DataError, MissingExtraError
from twofold.posts import Entity, Post, RefusedPicture, Rejected

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS: list[dict] = [
    {"id": "a", "text": 'Anna said "hi", then\nleft', "image": "red.png", "alt_text": "a square"},
    {"id": "00017", "text": "", "image": None, "alt_text": None},
    {"id": "ü", "text": "Zoë; 🗼\tParis", "image": "sub/blue.png", "alt_text": None},
]
RENAMED = {"id": "tweet_id", "text": "full_text", "image": "photo", "alt_text": "description"}


def write(path: Path, rows: list[dict]) -> Path:
    """Write rows in the format of the file's name, with other libraries."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
        return path
    if name.endswith(".jsonl"):
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    elif name.endswith(".tar"):
        data = tar({f"{i:04}.json": json.dumps(row).encode() for i, row in enumerate(rows)})
    else:
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, list(rows[0]), delimiter="\t" if name.endswith(".tsv") else ",")
        table.writeheader()
        table.writerows(rows)
        data = text.getvalue().encode()
    if path.name.lower().endswith(".gz"):
        data = gzip.compress(data[:20]) + gzip.compress(data[20:])  # two gzip members
    if path.name.endswith(".zst"):
        data = b"".join(pa.compress(part, codec="zstd", asbytes=True) for part in (data[:20], data[20:]))
    path.write_bytes(data)
    return path


def tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def plain(post: Post | Rejected) -> dict:
    assert isinstance(post, Post), post
    return {"id": post.id, "text": post.text, "image": post.image, "alt_text": post.alt_text}


NAMES = [
    "a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.tsv", "a.tsv.zst", "a.parquet", "a.tar",
    "a.tar.gz", "A.JSONL.GZ",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_posts(tmp_path, name):
    posts = list(open_corpus(write(tmp_path / name, ROWS)))
    assert [plain(post) for post in posts] == [
        row | {"image": row["image"] and tmp_path / row["image"]} for row in ROWS
    ]
    lines = [int(post.origin.removeprefix(f"{tmp_path / name}:")) for post in posts]
    assert lines == sorted(set(lines))


@pytest.mark.parametrize("name", NAMES)
def test_columns_may_have_other_names(tmp_path, name):
    rows: list[dict] = [{RENAMED[key]: row[key] for key in row} | {"lang": "en"} for row in ROWS]
    file = write(tmp_path / name, rows)
    columns = ColumnNames.parse(",".join(f"{ours}={theirs}" for ours, theirs in RENAMED.items()), "lang")
    renamed = list(open_corpus(file, columns=columns))
    expected = list(open_corpus(write(tmp_path / f"plain-{name}", ROWS)))
    assert [plain(post) for post in renamed] == [plain(post) for post in expected]
    assert [post.carried for post in renamed] == [{"lang": "en"}] * 3


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.tsv", "a.parquet"])
def test_rows_without_ids_can_be_numbered(tmp_path, name):
    file = write(tmp_path / name, [{"text": "Anna"}, {"text": "Bob"}])
    posts = list(open_corpus(file, columns=ColumnNames(number_rows=True)))
    assert [post.id for post in posts] == [post.origin for post in posts]
    assert [post.id.rpartition(":")[0] for post in posts] == [str(file)] * 2
    assert len({post.id for post in posts}) == 2


@pytest.mark.parametrize("name", NAMES)
def test_numbering_rows_keeps_the_ids_that_are_there(tmp_path, name):
    file = write(tmp_path / name, ROWS)
    assert list(open_corpus(file, columns=ColumnNames(number_rows=True))) == list(open_corpus(file))


def test_numbering_rows_fills_only_missing_ids(tmp_path):
    (tmp_path / "a.csv").write_text("tweet_id,text\n7,Anna\n,Bob\n", encoding="utf-8")
    columns = ColumnNames.parse("id=tweet_id", number_rows=True)
    assert [post.id for post in open_corpus(tmp_path / "a.csv", columns=columns)] == [
        "7", f"{tmp_path / 'a.csv'}:3",
    ]  # fmt: skip


def test_a_column_used_for_a_field_hides_the_column_with_the_name_of_the_field(tmp_path):
    rows = [{"id": 1, "text": "shortened…", "full_text": "Anna left paris"}]
    (post,) = open_corpus(write(tmp_path / "a.jsonl", rows), columns=ColumnNames.parse("text=full_text"))
    assert post.text == "Anna left paris"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_a_table_without_a_column_is_refused_by_name(tmp_path, name):
    file = write(tmp_path / name, [{"tweet_id": "1", "text": "x"}])
    with pytest.raises(
        DataError, match=r"has no column 'id'; expected one of its columns: tweet_id, text; .*--number-rows"
    ):
        list(open_corpus(file))
    with pytest.raises(DataError, match=r"has no column 'lang'.*columns of the file with --carry$"):
        list(open_corpus(file, columns=ColumnNames.parse("id=tweet_id", "lang")))


@pytest.mark.parametrize(
    ("columns", "carried"),
    [("id", ""), ("id=", ""), ("id=a,id=b", ""), ("name=a", ""), ("", "a,a"), ("", "a,")],
)
def test_invalid_column_names(columns, carried):
    with pytest.raises(ConfigError):
        ColumnNames.parse(columns, carried)


def test_invalid_rows_of_csv_are_rejected(tmp_path):
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbfid;text\n1;Anna\n2;Bob;more\n\n3;\xff\n;no id\n4;"Carl\nof two lines"\n5;"Dora\n'
    )
    *items, last = open_corpus(tmp_path / "a.csv")
    assert [item.text if isinstance(item, Post) else item.reason.split(";")[0] for item in items] == [
        "Anna", "the row has 3 cells", "the row is not UTF-8", "id is null", "Carl\nof two lines",
    ]  # fmt: skip
    assert [int(item.origin.rpartition(":")[2]) for item in items] == [2, 3, 5, 6, 7]
    assert last.reason.startswith("the row is not CSV")


def test_a_cell_of_json_that_is_nested_too_deeply_does_not_stop_the_others(tmp_path):
    (tmp_path / "a.csv").write_text(f'id,text,entities\n1,x,"{"[" * 100_000}"\n2,y,\n', encoding="utf-8")
    deep, post = open_corpus(tmp_path / "a.csv")
    assert deep.reason.startswith("entities is nested too deeply")
    assert post.text == "y"


def test_labels_in_a_table(tmp_path):
    spans = [{"start": 0, "end": 4, "type": "PER"}]
    gold = (Entity(0, 4, "Anna", "PER"),)
    rows = [{"id": "1", "text": "Anna left", "entities": spans}]
    (of_parquet,) = open_corpus(write(tmp_path / "a.parquet", rows))
    rows[0]["entities"] = json.dumps(spans)
    (of_csv,) = open_corpus(write(tmp_path / "a.csv", rows))
    assert of_parquet.entities == of_csv.entities == gold


@pytest.mark.parametrize("image", [b"\x89PNG", {"bytes": b"\x89PNG", "path": "../x.png"}])
def test_pictures_in_a_column(tmp_path, image):
    (post,) = open_corpus(write(tmp_path / "a.parquet", [{"id": 1, "text": "x", "image": image}]))
    assert (post.id, post.image) == (1, b"\x89PNG")


def test_paths_of_pictures_are_confined_in_every_format(tmp_path):
    for name in NAMES:
        (post,) = open_corpus(write(tmp_path / name, [{"id": "1", "text": "x", "image": "../secret.png"}]))
        assert isinstance(post.image, RefusedPicture), name


def test_a_shard_in_the_layout_of_webdataset(tmp_path):
    members = {
        "./": b"", "0/7.json": b'{"text": "Anna", "lang": "en"}', "0/7.jpg": b"seven", "0/8.jpg": b"eight",
        "0/8.txt": "Zoë".encode(), "0/9.json": b'{"id": 99, "text": "no picture"}', "1/9.txt": b"another",
        "1/10.json": b"[]", "1/11.json": b"{", "1/12.png": b"no text",
    }  # fmt: skip
    (tmp_path / "a.tar").write_bytes(tar(members))
    items = list(open_corpus(tmp_path / "a.tar", columns=ColumnNames.parse(carried="lang")))
    posts = [item for item in items if isinstance(item, Post)]
    assert [(post.id, post.text, post.image) for post in posts] == [
        ("0/7", "Anna", b"seven"), ("0/8", "Zoë", b"eight"), (99, "no picture", None),
        ("1/9", "another", None),
    ]  # fmt: skip
    assert [post.carried["lang"] for post in posts] == ["en", None, None, None]
    assert [item.reason.split(";")[0][:36] for item in items[4:]] == [
        "1/10.json is not an object", "1/11.json: the member is not JSON: E", "1/12: text is missing",
    ]  # fmt: skip


def test_names_in_a_shard_that_are_not_utf_8(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({"\udcff.jpg": b"", "\udcfe.txt": b"x", "2.txt": b"y"}))
    wrong, *posts = open_corpus(tmp_path / "a.tar")
    assert (wrong.raw, wrong.reason.split(";")[0]) == (r"\xff", r"\xff: text is missing")
    assert [(post.id, post.text) for post in posts] == [(r"\xfe", "x"), ("2", "y")]


def test_members_of_a_shard_that_were_read_are_not_kept(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({f"{i}.txt": b"x" for i in range(200)}))
    posts = open_corpus(tmp_path / "a.tar")
    assert [next(posts).id for _ in range(150)] == [str(i) for i in range(150)]
    gc.collect()
    assert sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects()) < 10


def test_links_in_a_shard_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        link = tarfile.TarInfo("7.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
        text = tarfile.TarInfo("8.txt")
        text.size = 1
        file.addfile(text, io.BytesIO(b"x"))
    link_, post = open_corpus(tmp_path / "a.tar")
    assert "7.jpg is a link" in link_.reason
    assert replace(post, origin="") == Post("8", "x")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("a.jsonl", "a.csv", "a.tsv")])
def test_a_file_that_ends_too_early_gives_its_beginning_and_an_error(tmp_path, name):
    rows = [{"id": str(i), "text": f"{i * i} " * 50} for i in range(3000)]
    whole = write(tmp_path / name, rows).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    texts: list[str] = []
    with pytest.raises(DataError, match=name) as caught:
        texts.extend(post.text for post in open_corpus(tmp_path / name))
    assert texts == [row["text"] for row in rows[: len(texts)]]
    assert name.endswith("parquet") or len(texts) > 100
    assert "read to its end" in str(caught.value)


def test_the_error_for_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    for name in ("a.parquet", "a.jsonl.zst"):
        file = write(tmp_path / name, ROWS)
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, "pyarrow", None)
            patch.delitem(__import__("sys").modules, "pyarrow.parquet", raising=False)
            with pytest.raises(MissingExtraError, match=r"twofold\[scale\]"):
                list(open_corpus(file))


def test_a_compressed_file_whose_name_does_not_show_its_format(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(DataError, match="its name does not say what it holds"):
        open_corpus(tmp_path / "a.gz")


def test_unusual_header_rows(tmp_path):
    def read(content: bytes, **names: str) -> list[Post | Rejected]:
        (tmp_path / "a.csv").write_bytes(content)
        return list(open_corpus(tmp_path / "a.csv", columns=ColumnNames.parse(**names)))

    (post,) = read(b'\n\n"id","the\r\ntext"\n1,Anna\n', renamed="text=the\r\ntext")
    assert (post.text, post.origin.rpartition(":")[2]) == ("Anna", "5")
    (post,) = read(b"id,text," + b"x" * 300_000 + b"\n1,Anna,\n")
    assert post.text == "Anna"
    (post,) = read(b"id,text,other,other\n1,Anna,,\n")
    assert post.text == "Anna"
    for content, message in {
        b"id,text,text\n1,a,b\n": "has two columns 'text'",
        b"": "the table is empty",
        b"\n\n": "the table is empty",
        b'id,"text\n1,a\n': "the first line is not a header row",
    }.items():
        with pytest.raises(DataError, match=message):
            read(content)
    with pytest.raises(DataError, match="has two columns 'other'"):
        read(b"id,text,other,other\n1,Anna,,\n", carried="other")


def test_a_row_of_csv_without_an_end_takes_no_memory_and_is_rejected(tmp_path, monkeypatch):
    """One line without an end, and a row whose quoted cells continue over many lines."""
    monkeypatch.setattr(csv_posts, "MAX_BYTES", 1000)
    long = b"2," + b"x" * 5000, b'2,"' + b'a\n","' * 500 + b'"'
    for row in long:
        (tmp_path / "a.csv").write_bytes(b"id,text\n1,a\n" + row + b"\n3,b\n")
        first, wrong, *others = open_corpus(tmp_path / "a.csv")
        assert (first.id, wrong.origin.rpartition(":")[2]) == ("1", "3")
        assert wrong.reason.startswith("the row is longer than")
        assert row.decode().startswith(wrong.raw[:900])
        assert [item.id for item in others if isinstance(item, Post)][-1:] == (
            ["3"] if row == long[0] else []
        )
    with gzip.open(tmp_path / "b.csv.gz", "wb") as stream:
        stream.write(b"id,text\n1," + b"x" * 2_000_000 + b"\n2,b\n")
    tracemalloc.start()
    wrong, last = open_corpus(tmp_path / "b.csv.gz")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000 * 4  # a plain readline would hold all of it
    tracemalloc.stop()
    assert last.id == "2"


def test_a_row_that_is_not_csv_is_kept_for_the_rejects(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,"a"b\n2,c\n')
    wrong, post = open_corpus(tmp_path / "a.csv")
    assert wrong.raw == '1,"a"b\n'
    assert post.text == "c"


def test_duplicate_members_of_a_shard_are_rejected(tmp_path):
    members = [("7.json", b'{"text": "Anna"}'), ("7.json", b'{"text": "Bob"}'), ("8.txt", b"Carl")]
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    wrong, post = open_corpus(tmp_path / "a.tar")
    assert wrong.reason.startswith("7.json appears twice")
    assert post.text == "Carl"


def test_a_post_of_a_shard_has_one_picture(tmp_path):
    members = {"a/10.txt": b"Anna", "a/10.jpg": b"one", "a/10.png": b"two", "a/11.txt": b"Bob"}
    (tmp_path / "a.tar").write_bytes(tar(members))
    wrong, post = open_corpus(tmp_path / "a.tar")
    assert wrong.reason.startswith("a/10 has 2 pictures: a/10.jpg, a/10.png; expected at most one")
    assert (post.id, post.text) == ("a/11", "Bob")


def test_json_in_a_shard_is_checked_as_elsewhere(tmp_path):
    members = {"1.json": b'{"text": "a", "text": "b"}', "2.json": b"[" * 100_000, "3.json": b"\xff"}
    members |= {"4.json": b'{"id": 1' + b"0" * 9000 + b', "text": "a"}', "5.txt": b"Anna"}
    (tmp_path / "a.tar").write_bytes(tar(members))
    *wrong, post = open_corpus(tmp_path / "a.tar")
    assert [item.reason.partition(";")[0] for item in wrong] == [
        "1.json: the key 'text' appears twice", "2.json: the member is nested too deeply",
        "3.json: byte 0xff at position 0 is not UTF-8",
        "4.json: the member is not JSON that can be read: a number has too many digits",
    ]  # fmt: skip
    assert post.text == "Anna"


def test_a_value_of_parquet_that_python_cannot_hold_costs_its_row(tmp_path):
    bad = pa.array([b"\xff", b"Bob", b"Carl"])
    text = pa.Array.from_buffers(pa.string(), 3, bad.buffers())
    when = pa.array([0, 2**56, 0], pa.timestamp("ms"))
    table = pa.table({"id": ["a", "b", "c"], "text": text, "when": when})
    parquet.write_table(table, tmp_path / "a.parquet")
    first, second, post = open_corpus(tmp_path / "a.parquet", columns=ColumnNames.parse("", "when"))
    assert first.reason.startswith("text is not UTF-8: byte 0xff at position 0")
    assert second.reason.startswith("when cannot be read")
    assert (post.text, post.carried["when"]) == ("Carl", "1970-01-01 00:00:00")


def test_a_text_that_many_rows_share_is_in_memory_once(tmp_path):
    shared = pa.array(["x" * 20_000_000])
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 60, pa.int32()), shared)
    table = pa.table({"id": pa.array(range(60)), "text": rows})
    parquet.write_table(table, tmp_path / "a.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    posts = open_corpus(tmp_path / "a.parquet")
    assert next(posts).reason.startswith("the post has 20,000,000 characters")
    assert pa.total_allocated_bytes() - before < 100_000_000  # 60 of them are 1.2 GB


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_carried_values_can_be_written_as_json(tmp_path, name):
    rows = [{"id": "1", "text": "Anna", "x": float("nan")}, {"id": "2", "text": "Bob", "x": float("inf")}]
    if name == "a.json":
        (tmp_path / name).write_text(json.dumps(rows), encoding="utf-8")
    else:
        write(tmp_path / name, rows)
    posts = list(open_corpus(tmp_path / name, columns=ColumnNames.parse("", "x")))
    assert [post.carried["x"] for post in posts] == [None, None]
    (tmp_path / "b.jsonl").write_text('{"id": 1, "text": "a", "x": "\\ud800"}\n', encoding="utf-8")
    (wrong,) = open_corpus(tmp_path / "b.jsonl", columns=ColumnNames.parse("", "x"))
    assert "half of a surrogate pair" in wrong.reason


def with_checksum(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "size",
    [
        b"77777777777\0",  # 8 GB
        b"\x80\0\0\0" + b"\x7f" * 8,  # 9 exabytes, which take forever to skip
        b"\xff" * 12,  # a negative one
        b"-0000000001\0",
        b"x" * 12,
    ],
)
def test_a_member_with_a_damaged_header_raises_an_error(tmp_path, size):
    whole = bytearray(tar({f"{i}.txt": b"Anna" for i in range(4)}))
    header = whole[2048:2560]
    header[124:136] = size
    whole[2048:2560] = with_checksum(header)
    (tmp_path / "a.tar").write_bytes(whole)
    posts = open_corpus(tmp_path / "a.tar")
    assert next(posts).id == "0"
    with pytest.raises(DataError, match="cannot be read as a tar file"):
        list(posts)


def test_an_oversized_header_takes_no_memory(tmp_path):
    """A header may state any length for the next member's name; compressed, gigabytes take little space."""
    header = bytearray(tar({"1.txt": b""})[:512])
    header[124:136], header[156:157] = b"%011o\0" % (1 << 31), b"L"
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(with_checksum(header))
        for _ in range(20):
            stream.write(b"x" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(DataError, match="cannot be read as a tar file"):
        list(open_corpus(tmp_path / "a.tar.gz"))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "headers",
    [{"GNU.sparse.map": "1,x"}, {"size": "-5"}, {"size": "9" * 50},
     {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "9"}],
)  # fmt: skip
def test_invalid_extended_headers(tmp_path, headers):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("1.txt")
        info.size, info.pax_headers = 4, headers
        file.addfile(info, io.BytesIO(b"Anna"))
    with pytest.raises(DataError, match="cannot be read as a tar file"):
        list(open_corpus(tmp_path / "a.tar"))


def test_data_after_the_end_of_a_shard_is_read_or_raises_an_error(tmp_path):
    one, two = tar({"1.txt": b"one"}), tar({"2.txt": b"two"})
    (tmp_path / "a.tar").write_bytes(one + two)  # as `cat` concatenates them
    assert [post.text for post in open_corpus(tmp_path / "a.tar")] == ["one", "two"]
    for content in (one + b"and more" * 100, one[:1024]):
        (tmp_path / "a.tar").write_bytes(content)
        posts = open_corpus(tmp_path / "a.tar")
        with pytest.raises(DataError, match="cannot be read as a tar file"):
            list(posts)
