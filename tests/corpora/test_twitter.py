from __future__ import annotations

from pathlib import Path

import pytest

from twofold.corpora.attachments import Attachments
from twofold.corpora.twitter import read_twitter
from twofold.posts import Post, Rejected

FILE = """IMGID:7
Ada\tB-PER
Lovelace\tI-PER
in\tO
Turin\tI-LOC
!\tO

IMGID:16_05_1
Hot\tB-OTHER
Dogs\tI-OTHER

"""


def read(path: Path, content: str | bytes) -> list[Post | Rejected]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_twitter(path))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "train.txt"


def test_posts_tokens_and_entities(file):
    one, two = read(file, FILE)
    assert (one.id, one.text, one.origin) == ("7", "Ada Lovelace in Turin !", f"{file}:1")
    assert one.tokens == ((0, 3), (4, 12), (13, 15), (16, 21), (22, 23))
    assert [(e.text, e.type, e.well_formed) for e in one.entities] == [
        ("Ada Lovelace", "PER", True),
        ("Turin", "LOC", False),
    ]
    assert (one.image, one.alt_text, one.relations) == (None, None, None)
    assert (two.id, two.entities[0].type, two.origin) == ("16_05_1", "MISC", f"{file}:8")


def test_the_picture_is_named_by_the_id(file, tmp_path):
    file.write_text(FILE, encoding="utf-8")
    attachments = Attachments(tmp_path, None, {"7.jpg": "a woman"})
    one, two = read_twitter(file, attachments)
    assert (one.image, one.alt_text) == (tmp_path / "7.jpg", "a woman")
    assert (two.image, two.alt_text) == (tmp_path / "16_05_1.jpg", None)


ODD = [
    "\u00a0",
    " ",
    "\ufffd",
    "\x85",
    "\u2028",
    "\u200b",
    "a\u200db",
    "\r",
    "\x0b",
    "IMGID:3",
    "#",
    "\x00",
    "\ufeff",
]


@pytest.mark.parametrize("token", ODD)
def test_odd_tokens_survive(file, token):
    (post,) = read(file, f"IMGID:1\nx\tO\n{token}\tB-PER\ny\tO\n")
    assert post.text == f"x {token} y"
    assert [e.text for e in post.entities] == [token]


def test_windows_line_ends(file):
    (post,) = read(file, b"\xef\xbb\xbfIMGID:1\r\nx\tB-PER\r\n\r\n")
    assert (post.id, post.text, post.entities[0].type) == ("1", "x", "PER")


def test_a_post_without_words_is_a_post(file):
    (post,) = read(file, "IMGID:1\n\n")
    assert (post.text, post.tokens, post.entities) == ("", (), ())


def test_no_blank_line_is_needed_between_posts(file):
    assert [post.text for post in read(file, "IMGID:1\na\tO\nIMGID:2\nb\tO")] == ["a", "b"]


BAD = [
    ("IMGID:2\na O\n", "line 5 has no TAB: 'a O'"),
    ("IMGID:2\n\tO\n", "line 5 has no token"),
    ("IMGID:2\na\tPER\n", "line 5 has the tag 'PER'"),
    ("IMGID:2\na\tO\tO\n", "line 5 has the tag 'O\\tO'"),
    ("IMGID:\na\tO\n", "does not begin with the name of its picture"),
    ("a\tO\n", "does not begin with the name of its picture"),
    ("IMGID:\0\na\tO\n", "does not begin with the name"),
    (b"IMGID:2\n\xff\tO\n", "byte 0xff at position 0 is not UTF-8"),
]


@pytest.mark.parametrize(("block", "reason"), BAD)
def test_a_bad_block_is_rejected_and_the_others_are_read(file, block, reason):
    block = block if isinstance(block, bytes) else block.encode()
    before, bad, after = read(file, b"IMGID:1\na\tO\n\n" + block + b"\nIMGID:3\nc\tB-PER\n\n")
    assert (before.id, after.id, after.entities[0].text) == ("1", "3", "c")
    assert isinstance(bad, Rejected)
    assert bad.origin == f"{file}:4"
    assert reason in bad.reason
    assert "expected" in bad.reason


REAL = {
    "twitter2015/train.txt": (4000, 6352, 6166),
    "twitter2015/valid.txt": (1000, 1594, 1541),
    "twitter2017/train.txt": (3373, 6049, 6049),
    "twitter2017/valid.txt": (723, 1324, 1324),
    "twitter2017/test.txt": (723, 1351, 1351),
}


LARGE = ("twitter2015/train.txt", "twitter2017/train.txt")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in REAL]
)
def test_counts_of_the_real_files(shared, name):
    posts = list(read_twitter(shared / "data" / name))
    entities = [entity for post in posts for entity in post.entities]
    assert (len(posts), len(entities), sum(e.well_formed for e in entities)) == REAL[name]
    assert {entity.type for entity in entities} == {"PER", "LOC", "ORG", "MISC"}
    assert all(post.text[e.start : e.end] == e.text for post in posts for e in post.entities)


def test_the_lone_no_break_space_of_2015_valid(shared):
    path = shared / "data/twitter2015/valid.txt"
    tokens = [(post, a, b) for post in read_twitter(path) for a, b in post.tokens if post.text[a:b].isspace()]
    ((post, start, end),) = tokens
    index = post.tokens.index((start, end))
    assert post.text[start:end] == "\u00a0"
    assert int(post.origin.rpartition(":")[2]) + 1 + index == 9658


@pytest.mark.slow
def test_odd_characters_of_2017_survive(shared):
    text = "".join(post.text for post in read_twitter(shared / "data/twitter2017/train.txt"))
    assert text.count("\ufffd") == 4
    assert any("\x80" <= character <= "\x9f" for character in text)
    assert any(character in text for character in "\u200b\u200d\ufeff\u200e\u200f")
