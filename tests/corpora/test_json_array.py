"""JSON arrays: plain posts, and the reading of arrays, which Label Studio tasks share."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from twofold.corpora import ColumnNames, open_corpus
from twofold.corpora.json_array import items_of
from twofold.errors import InputError
from twofold.posts import Post, Rejected


def read(folder: Path, content: str, **options) -> list[Post | Rejected]:
    file = folder / "posts.json"
    file.write_text(content, encoding="utf-8")
    return list(open_corpus(file, **options))


def test_posts_as_pandas_writes_them(tmp_path):
    rows = [{"id": 1, "text": "Ada"}, {"id": "b", "text": "Bo", "image": "b.png", "data": "note"}]
    one, two = read(tmp_path, "\ufeff\n" + json.dumps(rows, indent=2))
    assert (one.id, one.text, one.origin) == (1, "Ada", f"{tmp_path}/posts.json:item 1")
    assert (two.id, two.image) == ("b", tmp_path / "b.png")
    (named,) = read(tmp_path, '[{"n": 1, "t": "Ada"}]', columns=ColumnNames.parse("id=n,text=t", "n"))
    assert (named.id, named.text, dict(named.carried)) == (1, "Ada", {"n": 1})
    assert read(tmp_path, "[]") == read(tmp_path, " [ ] ") == []


def test_an_item_that_is_not_a_post_does_not_stop_the_others(tmp_path):
    items = '[{"id": 1, "text": "a"}, 7, {"id": 2}, null, {"id": 3, "text": "b"}]'
    first, *wrong, last = read(tmp_path, items)
    assert [item.reason.partition(";")[0] for item in wrong] == [
        "the item is the number 7", "text is missing", "the item is null",
    ]  # fmt: skip
    assert [item.origin.rpartition(":")[2] for item in wrong] == ["item 2", "item 3", "item 4"]
    assert (first.id, last.id) == (1, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"id": 1, "text": "a"}', "the file ends before its array does"),
        ('[{"id": 1, "text": "a"},', "the file ends before its array does"),
        ('[{"id": 1, "text": "a"} {"id": 2, "text": "b"}]', "there is no comma between two items"),
        ('[{"id": 1, "text": "a"},, {"id": 2, "text": "b"}]', "the next item is not JSON"),
        ('[{"id": 1, "text": "a"}] [{"id": 2, "text": "b"}]', "continues after its array"),
        ('[{"id": 1, "text": "a"},' + "[" * 100_000, "the next item is nested too deeply"),
        ('[{"id": 1, "text": "a"}, {"id": 1' + "0" * 10_000 + "}]", "a number has too many digits"),
    ],
)
def test_a_broken_array_is_rejected_where_it_breaks(tmp_path, content, message):
    post, rest = read(tmp_path, content)
    assert post.text == "a"
    assert message in rest.reason


def test_an_item_with_a_duplicate_key_is_rejected(tmp_path):
    wrong, post = read(tmp_path, '[{"id": 1, "text": "a", "text": "b"}, {"id": 2, "text": "c"}]')
    assert wrong.reason.startswith("the key 'text' appears twice")
    assert post.text == "c"


def test_characters_at_the_ends_of_chunks_are_not_lost(tmp_path):
    file = tmp_path / "numbers.json"
    for spaces in range(65_520, 65_550):
        file.write_text("[" + " " * spaces + "[1] , [22] , [333] ]", encoding="utf-8")
        assert [item for item, _ in items_of(file, "")] == [[1], [22], [333]]


def test_time_grows_linearly_with_the_length(tmp_path):
    """Ten times as many items take about ten times as long: the rest is not copied for each."""
    file = tmp_path / "numbers.json"

    def seconds(count: int) -> float:
        file.write_text("[" + "[1]," * count + '"' + "x" * 3_000_000 + '"]', encoding="utf-8")
        begin = time.process_time()
        assert sum(not isinstance(item, InputError) for item, _ in items_of(file, "")) == count + 1
        return time.process_time() - begin

    few, many = min(seconds(2_000) for _ in range(2)), seconds(20_000)
    assert many < 40 * few
