from __future__ import annotations

from pathlib import Path

import pytest

from twofold.corpora.attachments import Attachments
from twofold.corpora.mnre import read_mnre
from twofold.posts import Post, Rejected

GOOD = (
    "{'token': ['Ada', 'of', \"Turin's\", 'Club'], 'h': {'name': \"Turin's Club\", 'pos': [2, 4]}, "
    "'t': {'name': 'Ada of Turin\\'s', 'pos': [0, 3]}, 'img_id': 'a.jpg', 'relation': '/org/per/leader'}"
)


def read(folder: Path, *lines: str | bytes) -> list[Post | Rejected]:
    path = folder / "mnre.txt"
    path.write_bytes(b"".join((x if isinstance(x, bytes) else x.encode()) + b"\n" for x in lines))
    return list(read_mnre(path, Attachments(folder, None, {"a.jpg": "a club"})))


def test_head_after_tail_and_overlapping(tmp_path):
    (post,) = read(tmp_path, GOOD)
    (relation,) = post.relations
    assert (post.id, post.text, post.entities) == ("a.jpg#1", "Ada of Turin's Club", None)
    assert (post.image, post.alt_text) == (tmp_path / "a.jpg", "a club")
    assert (relation.head.start, relation.head.end, relation.head.type) == (7, 19, "ORG")
    assert (relation.tail.start, relation.tail.end, relation.tail.type) == (0, 14, "PER")
    assert relation.type == "/org/per/leader"


def test_none_is_a_relation_between_spans_of_no_stated_type(tmp_path):
    (post,) = read(tmp_path, GOOD.replace("/org/per/leader", "None"))
    assert (post.relations[0].type, post.relations[0].head.type) == ("None", "")


def test_lines_of_one_post_are_separate_posts(tmp_path):
    assert [post.id for post in read(tmp_path, GOOD, GOOD)] == ["a.jpg#1", "a.jpg#2"]


def test_an_unknown_escape_gives_no_warning(tmp_path):
    (post,) = read(tmp_path, GOOD.replace("'of'", "'\\d'").replace("Ada of", "Ada \\d"))
    assert post.text.startswith("Ada \\d ")


BAD = [
    ("", "the line is blank"),
    ("hello", "not a plain Python literal"),
    ("[1, 2]", "not a dict"),
    ("{'token': [", "not a Python literal"),
    ("{'token': ['a'}", "not a Python literal"),
    ("{'token': ['abc", "not a Python literal"),
    ("__import__('os').getcwd()", "not a plain Python literal"),
    ("{'token': ['a'] * 10}", "not a plain Python literal"),
    ("[" * 100_000, "not a plain Python literal"),
    ("[" * 90 + "]" * 90, "not a plain Python literal"),
    ("-" * 100_000 + "1", "not a plain Python literal"),
    ("1+" * 100_000 + "1", "not a plain Python literal"),
    ("{'a': " + "9" * 10_000 + "}", "not a Python literal"),
    ("{[1]: 2}", "not a Python literal"),
    ("'\\" * 200_000, "not a Python literal"),
    ("x" * 3_000_000, "longer than 1 MB"),
    (b"{'token': ['\xff']}", "not UTF-8"),
    (GOOD.replace("'token'", "'tokens'"), "'token' is missing"),
    (GOOD.replace("'of'", "3"), "token 1 is 3"),
    (GOOD.replace("'of'", "''"), "token 1 is ''"),
    (GOOD.replace("'of'", "'\\ud800'"), "token 1 is '\\ud800'"),
    (
        GOOD.replace("[2, 4]", "[2, 5]"),
        "'pos' of 'h' is [2, 5]; expected [start, end] with 0 ≤ start < end ≤ 4",
    ),
    (GOOD.replace("[2, 4]", "[4, 2]"), "'pos' of 'h' is [4, 2]"),
    (GOOD.replace("[2, 4]", "['2', 4]"), "'pos' of 'h' is ['2', 4]"),
    (GOOD.replace("'pos': [0, 3]", "'at': [0, 3]"), "'pos' of 't' is None"),
    (
        GOOD.replace("'name': \"Turin's Club\"", "'name': 'Rome'"),
        "'h' is named 'Rome', but tokens 2 to 4 are",
    ),
    (GOOD.replace("'img_id': 'a.jpg', ", ""), "'img_id' is missing"),
    (GOOD.replace("'/org/per/leader'", "5"), "'relation' is missing or not text"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_rejected_and_the_others_are_read(tmp_path, line, reason):
    before, bad, after = read(tmp_path, GOOD, line, GOOD)
    assert (before.id, after.id) == ("a.jpg#1", "a.jpg#3")
    assert isinstance(bad, Rejected)
    assert reason in bad.reason
    assert "expected" in bad.reason


@pytest.mark.parametrize(
    ("name", "instances", "pictures", "none"),
    [pytest.param("train", 12247, 7356, 7744, marks=pytest.mark.slow), ("val", 1624, 931, 1000)],
)
def test_counts_of_the_real_files(shared, name, instances, pictures, none):
    posts = list(read_mnre(shared / f"data/mnre/mnre_{name}.txt"))
    types = [post.relations[0].type for post in posts]
    assert len(posts) == instances
    assert len({post.id.rpartition("#")[0] for post in posts}) == pictures
    assert (types.count("None"), len(set(types))) == (none, 23)
    assert len({post.id for post in posts}) == instances


def test_a_duplicate_key_is_rejected(tmp_path):
    (bad,) = read(tmp_path, GOOD.replace("'img_id'", "'img_id': 'b.jpg', 'img_id'"))
    assert bad.reason.startswith("a key appears twice")
