from __future__ import annotations

from pathlib import Path

import pytest

from twofold.corpora import open_corpus
from twofold.corpora.attachments import attach
from twofold.errors import DataError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_nothing_given_nothing_found():
    found = attach(None, None)
    assert (found.picture("a.jpg"), found.alt_text("a.jpg")) == (None, None)


def test_a_plain_folder_names_the_file_whether_it_is_there_or_not(tmp_path):
    assert attach(tmp_path, None).picture("a.jpg") == tmp_path / "a.jpg"


def test_a_folder_with_one_folder_for_each_data_set(tmp_path):
    (tmp_path / "twitter2015").mkdir()
    assert attach(tmp_path, None, "twitter2015").picture("1.jpg") == tmp_path / "twitter2015/1.jpg"
    assert attach(tmp_path, None, "mnre").picture("1.jpg") == tmp_path / "1.jpg"


def test_an_index_names_the_photograph(tmp_path):
    rows = "dataset\timage\tphoto\tsimilarity\n"
    rows += "one\t1.jpg\tx.jpg\t0.5\ntwo\t1.jpg\ty.jpg\t0.5\ntwo\t2.jpg\tz.jpg\t1\n"
    write(tmp_path / "index.tsv", rows)
    photos = tmp_path / "photos"
    assert attach(tmp_path, None, "one").picture("1.jpg") == photos / "x.jpg"
    assert attach(tmp_path, None, "two").picture("1.jpg") == photos / "y.jpg"
    assert attach(tmp_path, None, "one").picture("2.jpg") is None
    assert attach(tmp_path, None, "else").picture("2.jpg") == photos / "z.jpg"


def test_an_index_with_other_columns_is_ignored(tmp_path):
    write(tmp_path / "index.tsv", "a/1.jpg\ttrain\n")
    assert attach(tmp_path, None).picture("1.jpg") == tmp_path / "1.jpg"


@pytest.mark.parametrize(
    "table",
    [
        'dataset\timage\tcaption\none\t1.jpg\ta "dog\nother\t1.jpg\ta cat\n',
        'image\tcaption\r\n1.jpg\ta "dog\r\n',
        '1.jpg\ta "dog\n',
        '\ufeffcaption\timage\na "dog\t1.jpg\n',
    ],
)
def test_tables_of_alternative_texts(tmp_path, table):
    found = attach(None, write(tmp_path / "alt.tsv", table), "one")
    assert (found.alt_text("1.jpg"), found.alt_text("image")) == ('a "dog', None)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", r"alt.tsv:1: the first line has 0 columns"),
        (
            "a\tb\tc\n",
            r"alt.tsv:1: the first line has 3 columns and is not a header row; expected the columns image",
        ),
        ("image\tcaption\na\tb\nc\n", r"alt.tsv:3: the row has 1 column; expected image and caption"),
    ],
)
def test_an_invalid_table_is_an_error(tmp_path, table, message):
    with pytest.raises(DataError, match=message):
        attach(None, write(tmp_path / "alt.tsv", table))


def test_a_table_that_is_not_utf8(tmp_path):
    (tmp_path / "alt.tsv").write_bytes(b"image\tcaption\na\t\xff\n")
    with pytest.raises(DataError, match=r"alt.tsv:2: byte 0xff"):
        attach(None, tmp_path / "alt.tsv")


def test_a_missing_folder_or_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder; expected a folder of pictures"):
        attach(tmp_path / "nowhere", None)
    with pytest.raises(DataError, match=r"alt.tsv: no such file"):
        attach(None, tmp_path / "alt.tsv")


def test_a_blank_alternative_text_is_none(tmp_path):
    assert attach(None, write(tmp_path / "alt.tsv", "a.jpg\t \n")).alt_text("a.jpg") is None


@pytest.mark.parametrize(
    ("name", "blank"),
    [
        ("twitter2015/valid.txt", 1),
        ("twitter2017/valid.txt", 0),
        pytest.param("mnre/mnre_val.txt", 6, marks=pytest.mark.slow),
    ],
)
def test_the_real_posts_have_a_stand_in_picture_and_a_caption(shared, name, blank):
    data = shared / "data"
    table = data / "captions/captions.tsv"
    posts = list(open_corpus(data / name, images=data / "pictures/standins", alt_text=table))
    assert all(post.image.is_file() for post in posts)
    assert sum(post.alt_text is None for post in posts) == blank


def test_an_index_that_begins_with_a_byte_order_mark(tmp_path):
    (tmp_path / "index.tsv").write_bytes(b"\xef\xbb\xbfimage\tphoto\r\n1.jpg\tx.jpg\r\n")
    assert attach(tmp_path, None).picture("1.jpg") == tmp_path / "photos" / "x.jpg"
