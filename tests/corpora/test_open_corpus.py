from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from twofold.corpora import open_corpus
from twofold.corpora.formats import format_of
from twofold.errors import DataError
from twofold.posts import Post, Rejected

MNRE = (
    "{'token': ['a'], 'h': {'name': 'a', 'pos': [0, 1]}, "
    "'t': {'name': 'a', 'pos': [0, 1]}, 'img_id': 'a.jpg', 'relation': 'None'}\n"
)
CONTENT = [
    ("a.txt", "IMGID:1\na\tO\n", "imgid"),
    ("a.txt", "\n\ufeff\nIMGID:1\na\tO\n", "imgid"),
    ("a.txt", "a\tO\nb\tB-PER\n", "conll"),
    ("a.txt", "# id = 1\na\tO\n", "conll"),
    ("a.txt", "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n", "conll"),
    ("a.txt", MNRE, "mnre"),
    ("a.txt", json.dumps(ast.literal_eval(MNRE)), "mnre"),
    ("a.txt", '{"id": 1, "text": "a"}\n', "jsonl"),
    ("a.txt", '{"token": 1, "id": 1, "text": "a"}\n', "jsonl"),
    ("a.txt", "junk\n" + '{"id": 1, "text": "a"}\n', "jsonl"),
    ("a.jsonl", "junk\n", "jsonl"),
    ("a.ndjson", "IMGID:1\n", "jsonl"),
    ("empty.txt", "", "jsonl"),
]


@pytest.mark.parametrize(("name", "content", "expected"), CONTENT)
def test_the_format_is_recognised_by_the_content(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content.encode())
    assert format_of(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"Once upon a time\n",
            "a.txt: the format is not known; expected JSON",
        ),
        (b"{\n  'a': 1\n}\n", "the format is not known"),
        (b"\xff\xfea\x00", "is UTF-16 or UTF-32; expected UTF-8; save it as UTF-8"),
        (b"\x1f\x8b\x08", "is compressed, and its name does not say what it holds"),
        (b"\x89PNG\r\n\x1a\n\x00", "is not text; expected JSON Lines"),
    ],
)
def test_files_that_are_not_a_corpus(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_corpus(tmp_path / "a.txt")


def test_missing_files_and_folders_are_errors_at_once(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.txt: cannot be opened: No such file or directory"):
        open_corpus(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="a folder; expected a data file; give one of its files"):
        open_corpus(tmp_path)
    with pytest.raises(DataError, match="cannot be opened"):
        open_corpus("a\0b")
    (tmp_path / "a.txt").write_text("a\tO\n", encoding="utf-8")
    with pytest.raises(DataError, match="no such folder"):
        open_corpus(tmp_path / "a.txt", images=tmp_path / "nowhere")


def test_an_empty_file_holds_no_posts(tmp_path):
    (tmp_path / "a.jsonl").touch()
    assert list(open_corpus(tmp_path / "a.jsonl")) == []


def test_a_path_may_be_a_string(tmp_path):
    (tmp_path / "a.txt").write_text("a\tO\n", encoding="utf-8")
    (post,) = open_corpus(str(tmp_path / "a.txt"))
    assert isinstance(post, Post)


def test_posts_are_read_lazily(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": 1, "text": "a"}\n' + b"junk\n" * 1_000_000)
    items = open_corpus(path)
    assert isinstance(next(items), Post)
    assert isinstance(next(items), Rejected)


def test_the_data_set_is_recognised_by_the_folder(tmp_path):
    folder = tmp_path / "Twitter-2015"
    folder.mkdir()
    (folder / "my.txt").write_text("IMGID:1\na\tO\n", encoding="utf-8")
    table = tmp_path / "alt.tsv"
    table.write_text(
        "dataset\timage\tcaption\ntwitter2017\t1.jpg\twrong\ntwitter2015\t1.jpg\tright\ntwitter2017\t1.jpg\twrong\n",
        encoding="utf-8",
    )
    (post,) = open_corpus(folder / "my.txt", alt_text=table)
    assert post.alt_text == "right"


def test_the_data_set_is_recognised_by_the_hash(shared, tmp_path):
    copy = tmp_path / "copy.txt"
    copy.write_bytes((shared / "data/twitter2017/valid.txt").read_bytes())
    post: Post = next(open_corpus(copy, images=_folder(tmp_path / "pictures" / "twitter2017").parent))
    assert Path(post.image).parent.name == "twitter2017"


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1}'.encode("utf-16-le"), "is UTF-16 or UTF-32"),
        (b"BZh91AY", "is compressed"),
    ],
)
def test_the_name_does_not_make_a_file_json_lines(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_corpus(tmp_path / "a.jsonl")


def test_pipes_and_endless_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(DataError, match="is a pipe"):
        open_corpus(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="is a device"):
        open_corpus(tmp_path / "zero.jsonl")
    assert list(open_corpus("/dev/null")) == []


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "none.jsonl"])
def test_names_that_cannot_be_opened(name):
    with pytest.raises(DataError, match="cannot be opened"):
        open_corpus(name)


@pytest.mark.parametrize("content", [b"Ada\tB-PER\n", b"IMGID:1\nAda\tO\n", b'{"id": 1, "text": "Ada"}\n\n'])
def test_the_name_of_a_file_may_be_any_bytes(tmp_path, content):
    path = tmp_path / os.fsdecode(b"\xff.x")
    path.write_bytes(content)
    for item in open_corpus(path):
        (item.origin + str(getattr(item, "id", ""))).encode("utf-8")
        assert r"\xff.x" in item.origin
