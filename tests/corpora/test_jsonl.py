from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora import Attachments, ColumnNames, parse_post, read_jsonl
from twofold.corpora import lines as lines_module
from twofold.errors import InputError
from twofold.posts import Post, Rejected

ADA = {"start": 0, "end": 3, "text": "Ada", "type": "PER"}
TURIN = {"start": 7, "end": 12, "type": "LOC"}


def post(**fields) -> dict:
    return {"id": 1, "text": "Ada in Turin", **fields}


def read(*lines: object, **options) -> list[Post | Rejected]:
    data = b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines)
    return list(read_jsonl(io.BytesIO(data), **options))


def reason_for(record: object) -> str:
    """Why a record is rejected; its neighbours must be read, and each line must give one result."""
    before, bad, after = read({"id": "a", "text": "x"}, record, {"id": "b", "text": "y"})
    assert (before.id, after.id) == ("a", "b")
    assert isinstance(bad, Rejected), bad
    assert bad.origin == "<stdin>:2"
    assert "expected" in bad.reason
    return bad.reason


def test_a_post_without_a_renamed_key():
    columns = ColumnNames.parse("text=body,id=number")
    rows = {"number": 1, "text": "a"}, {"id": 2, "body": "b"}, {"number": 3, "tokens": ["c"]}
    text, id_, post = read(*rows, columns=columns)
    assert text.reason == (
        "the post has no key 'body', which --columns text=body names; expected one of its keys: number, "
        "text; correct --columns, or add the key"
    )
    assert id_.reason.startswith("the post has no key 'number', which --columns id=number names; expected")
    assert (post.id, post.text) == (3, "c")


def test_a_post_with_everything():
    relation = {"head": ADA, "tail": TURIN, "type": "/per/loc/place"}
    (found,) = read(
        post(image="p.jpg", alt_text="a woman", entities=[TURIN, ADA], relations=[relation], more=1)
    )
    assert (found.id, found.text, found.tokens) == (1, "Ada in Turin", None)
    assert (found.image, found.alt_text, found.origin) == (Path("p.jpg"), "a woman", "<stdin>:1")
    assert [(e.text, e.type) for e in found.entities] == [("Ada", "PER"), ("Turin", "LOC")]
    assert (found.relations[0].head.text, found.relations[0].tail.text) == ("Ada", "Turin")


def test_only_required_fields():
    (found,) = read({"id": "x", "text": ""})
    assert (found.text, found.image, found.entities, found.relations) == ("", None, None, None)


def test_null_and_empty_mean_not_given():
    (found,) = read(post(image="", alt_text=" ", entities=None, relations=None, tokens=None))
    assert (found.image, found.alt_text, found.entities, found.tokens) == (None, None, None, None)


def test_labelled_without_entities_is_not_unlabelled():
    assert read(post(entities=[]))[0].entities == ()


def test_tokens_alone_and_with_their_text():
    (found,) = read({"id": 1, "tokens": ["Ada", "\u00a0", "!"]})
    assert (found.text, found.tokens) == ("Ada \u00a0 !", ((0, 3), (4, 5), (6, 7)))
    (found,) = read({"id": 1, "tokens": ["#", "Ada", "!"], "text": "#Ada  !\n"})
    assert found.tokens == ((0, 1), (1, 4), (6, 7))


WEIRD = ["😀😀", "\u200b\u200d\u202e", "a\x00b", "\x85\u2028\r\n", "x" * 100_000, "👩‍👩‍👧", "\ufffd"]


@pytest.mark.parametrize("text", WEIRD, ids=range(len(WEIRD)))
def test_any_text_comes_through_unchanged(text):
    (found,) = read({"id": 1, "text": text})
    assert found.text == text


def test_offsets_are_code_points():
    (found,) = read(
        {"id": 1, "text": "😀 Ada", "entities": [{"start": 2, "end": 5, "text": "Ada", "type": "PER"}]}
    )
    assert found.entities[0].text == "Ada"


def test_raw_line_separators_inside_a_line():
    line = json.dumps(post(text="a\u2028b\x85c"), ensure_ascii=False).encode()
    assert read(line)[0].text == "a\u2028b\x85c"


def test_windows_file_with_byte_order_mark():
    assert read(b'\xef\xbb\xbf{"id": 1, "text": "a"}\r')[0].text == "a"


NOT_A_POST = [
    (b"", "the line is blank"),
    (b"  \t", "the line is blank"),
    (b"hello", "the line is not JSON: Expecting value"),
    (b'{"id": 1, "text": "a"', "the line is not JSON"),
    (b'{"id": 1, "text": "a"} {"id": 2}', "the line is not JSON: Extra data"),
    (b'{"id": 1, "text": "a\x00"}', "the line is not JSON: Invalid control character"),
    (b"{'id': 1}", "the line is not JSON"),
    (b"[" * 200_000, "the line is nested too deeply"),
    (b'{"id": ' + b"9" * 10_000 + b"}", "a number has too many digits"),
    (b'{"id": 1, "text": "\xff"}', "byte 0xff at position 19 is not UTF-8"),
    (b'{"id": 1, "text": "\xed\xa0\x80"}', "not UTF-8"),
    ([1], "the line holds a list"),
    ("a", "the line holds the text 'a'"),
    (None, "the line holds null"),
    (3, "the line holds the number 3"),
]


@pytest.mark.parametrize(("record", "reason"), NOT_A_POST, ids=range(len(NOT_A_POST)))
def test_lines_that_hold_no_post(record, reason):
    assert reason in reason_for(record)


WRONG_FIELD = [
    ({"text": "a"}, "the post has no id"),
    ({"id": None, "text": "a"}, "id is null"),
    ({"id": True, "text": "a"}, "id is true"),
    ({"id": 1.5, "text": "a"}, "id is the number 1.5"),
    ({"id": [1], "text": "a"}, "id is a list"),
    ({"id": "\ud800", "text": "a"}, "id has half of a surrogate pair (U+D800) at position 0"),
    ({"id": 1}, "text is missing"),
    ({"id": 1, "text": None}, "text is null"),
    ({"id": 1, "text": 5}, "text is the number 5"),
    ({"id": 1, "text": ["a"]}, "text is a list"),
    ({"id": 1, "text": "a\ud83d"}, "text has half of a surrogate pair (U+D83D) at position 1"),
    ({"id": 1, "tokens": "a"}, "tokens is the text 'a'"),
    ({"id": 1, "tokens": ["a", 2]}, "tokens[1] is the number 2"),
    ({"id": 1, "tokens": ["a", ""]}, "tokens[1] is empty"),
    ({"id": 1, "tokens": ["\udc00"]}, "tokens[0] has half of a surrogate pair"),
    ({"id": 1, "tokens": ["b"], "text": "a"}, "tokens[0] 'b' does not follow in the text at position 0"),
    ({"id": 1, "tokens": ["b"], "text": "a b"}, "tokens[0] 'b' does not follow"),
    ({"id": 1, "tokens": ["a"], "text": "a b"}, "the text goes on after the last token: ' b'"),
    (post(alt_text=3), "alt_text is the number 3"),
    (post(alt_text="\ud800"), "alt_text has half of a surrogate pair"),
    (post(image=3), "image is the number 3"),
    (post(image=["a.jpg"]), "image is a list"),
    (post(image={"path": "a"}), "image is an object"),
    (post(image="https://example.org/a.jpg"), "image is the web address 'https://example.org/a.jpg'"),
    (post(image="a\0.jpg"), "image has a NUL character"),
    (post(image="\ud800.jpg"), "image has half of a surrogate pair"),
    (post(image="data:image/png,abc"), "image is the data address"),
    (post(image="data:image/png;base64"), "image is the data address"),
    (post(image="data:image/png;base64,a*b"), "image is not base64"),
    (post(image={"base64": "abc"}), "image is not base64"),
    (post(entities={}), "entities is an object"),
    (post(entities=[3]), "entities[0] is the number 3"),
    (post(entities=[ADA, {"end": 3, "type": "PER"}]), "entities[1] start is missing"),
    (post(entities=[{**ADA, "start": "0"}]), "entities[0] start is the text '0'"),
    (post(entities=[{**ADA, "start": 0.0}]), "entities[0] start is the number 0.0"),
    (post(entities=[{**ADA, "start": False}]), "entities[0] start is false"),
    (post(entities=[{**ADA, "end": 0}]), "entities[0] runs from 0 to 0, but the text has 12 characters"),
    (post(entities=[{**ADA, "end": 99}]), "entities[0] runs from 0 to 99, but the text has 12 characters"),
    (post(entities=[{**ADA, "start": -1}]), "entities[0] runs from -1 to 3"),
    (post(entities=[{**ADA, "end": 10**30}]), "entities[0] runs from 0 to 1000"),
    (post(entities=[{**ADA, "text": "Bob"}]), "entities[0] says 'Bob', but the text from 0 to 3 is 'Ada'"),
    (post(entities=[{**ADA, "text": 3}]), "entities[0] says 3"),
    (post(entities=[{"start": 0, "end": 3}]), "entities[0] type is missing or empty"),
    (post(entities=[{**ADA, "type": 3}]), "entities[0] type is the number 3"),
    (post(entities=[{**ADA, "type": "\ud800"}]), "entities[0] type has half of a surrogate pair"),
    (post(entities=[{**ADA, "well_formed": 1}]), "entities[0] well_formed is the number 1"),
    (post(relations=[{"head": ADA, "type": "r"}]), "relations[0] tail is null"),
    (
        post(relations=[{"head": ADA, "tail": {**TURIN, "end": 70}, "type": "r"}]),
        "relations[0] tail runs from 7 to 70",
    ),
    (post(relations=[{"head": ADA, "tail": TURIN}]), "relations[0] type is missing or empty"),
]


@pytest.mark.parametrize(("record", "reason"), WRONG_FIELD, ids=range(len(WRONG_FIELD)))
def test_invalid_fields_are_rejected(record, reason):
    assert reason in reason_for(record)


@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b" ")), max_size=8))
def test_each_line_gives_one_result_whatever_it_contains(datas):
    results = read(*datas)
    assert len(results) == len(datas)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.text(max_size=4) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ADA, "head", "tail"]), inner)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "text", "tokens", "image", "alt_text", "entities", "relations"]), JSON
    )
)
def test_any_object_is_a_post_or_rejected(record):
    (result,) = read(record)
    assert isinstance(result, (Post, Rejected))


def test_a_line_beyond_the_limit_is_rejected_and_the_next_is_read(monkeypatch):
    original = lines_module.read_lines
    monkeypatch.setattr("twofold.corpora.jsonl.read_lines", lambda stream: original(stream, 2000))
    long, after = read(post(text="x" * 100_000), post())
    assert "longer than" in long.reason
    assert len(long.raw) <= 2000
    assert after.id == 1


def test_pictures_as_bytes():
    data = base64.b64encode(b"\x89PNG").decode()
    for image in ({"base64": data}, f"data:image/png;base64,{data}", {"base64": data[:4] + "\n" + data[4:]}):
        assert read(post(image=image))[0].image == b"\x89PNG"


def test_the_path_of_a_picture_is_relative_to_the_file(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text(
        json.dumps(post(image="p/a.jpg")) + "\n" + json.dumps(post(image="/p/a.jpg")), encoding="utf-8"
    )
    one, two = read_jsonl(path)
    assert (one.image, two.image) == (tmp_path / "p/a.jpg", Path("/p/a.jpg"))
    assert one.origin == f"{path}:1"


def test_pictures_and_alternative_texts_beside_the_file(tmp_path):
    attachments = Attachments(tmp_path, None, {"a.jpg": "a dog"})
    one, two = read(post(image="p/a.jpg"), post(image="a.jpg", alt_text="mine"), attachments=attachments)
    assert (one.image, one.alt_text) == (tmp_path / "p/a.jpg", "a dog")
    assert (two.image, two.alt_text) == (tmp_path / "a.jpg", "mine")


def test_pictures_through_an_index():
    attachments = Attachments(Path("s"), {"a.jpg": Path("s/photos/1.jpg")})
    one, two = read(post(image="p/a.jpg"), post(image="b.jpg"), attachments=attachments)
    assert (one.image, two.image) == (Path("s/photos/1.jpg"), None)


def test_from_python_paths_and_bytes_are_allowed(tmp_path):
    assert parse_post(post(image=Path("a.jpg")), base_folder=tmp_path).image == tmp_path / "a.jpg"
    assert parse_post(post(image=b"abc")).image == b"abc"
    assert parse_post({"id": 1, "tokens": ("a", "b")}).text == "a b"


def test_from_python_a_mistake_is_raised_with_its_origin():
    with pytest.raises(InputError, match=r"post 3: the post has no id; expected a field id.*; add one"):
        parse_post({"text": "a"}, "post 3")
    with pytest.raises(InputError, match="the post is a list"):
        parse_post([1])


def test_a_duplicate_key_is_rejected():
    (bad,) = read_jsonl(io.BytesIO(b'{"id": 1, "text": "a", "text": "b"}'))
    assert bad.reason.startswith("the key 'text' appears twice")
    (bad,) = read_jsonl(io.BytesIO(b'{"id": 1, "text": "a", "entities": [{"start": 0, "start": 1}]}'))
    assert bad.reason.startswith("the key 'start' appears twice")


def test_files_with_byte_order_marks_may_be_appended_to_each_other():
    line = b'\xef\xbb\xbf{"id": 1, "text": "a"}\r\n'
    assert [post.id for post in read_jsonl(io.BytesIO(line + line))] == [1, 1]
