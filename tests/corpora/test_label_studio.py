"""Tasks of Label Studio as posts, and offsets in UTF-16."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora import open_corpus
from twofold.corpora.label_studio import LOCAL_FILES
from twofold.corpora.utf16 import from_utf16, to_utf16
from twofold.posts import Post, Rejected

TEXT = "😀 Ada in Turin"


def span(id_: str, start: int, end: int, *labels: str, **value: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": list(labels)} | value
    return {"id": id_, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def relation(head: str, tail: str, *labels: str, direction: str = "right") -> dict[str, Any]:
    return {
        "type": "relation",
        "from_id": head,
        "to_id": tail,
        "direction": direction,
        "labels": list(labels),
    }


def task(*results: dict[str, Any], data: dict[str, Any] | None = None, **annotation: Any) -> dict[str, Any]:
    annotations = [{"result": list(results)} | annotation]
    return {"id": 7, "data": {"text": TEXT} | (data or {}), "annotations": annotations}


def read(folder: Path, *tasks: Any, **options: Any) -> list[Post | Rejected]:
    file = folder / "tasks.json"
    file.write_text(json.dumps(list(tasks)), encoding="utf-8")
    return list(open_corpus(file, **options))


def test_spans_and_relations(tmp_path):
    spans = span("a", 2, 5, "PER"), span("b", 9, 14, "LOC")
    for direction, arguments in (
        ("right", ("Ada", "Turin")),
        ("left", ("Turin", "Ada")),
        ("bi", ("Ada", "Turin")),
    ):
        (post,) = read(tmp_path, task(*spans, relation("a", "b", "home", direction=direction)))
        assert (post.id, post.text) == (7, TEXT)
        assert [(e.text, e.type) for e in post.entities] == [("Ada", "PER"), ("Turin", "LOC")]
        (found,) = post.relations
        assert (found.head.text, found.tail.text, found.type) == (*arguments, "home")
    choice = {
        "id": "c",
        "from_name": "tone",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["x"]},
    }
    (post,) = read(tmp_path, task(spans[0], choice))
    assert [e.text for e in post.entities] == ["Ada"]
    assert post.relations is None  # unlabelled, which is not the same as none


def test_offsets_in_code_points_and_in_utf_16_are_distinguished_by_the_words(tmp_path):
    python, javascript = span("a", 2, 5, "PER", text="Ada"), span("a", 3, 6, "PER", text="Ada")
    for item in (python, javascript):
        (post,) = read(tmp_path, task(item))
        assert [(e.start, e.text) for e in post.entities] == [(2, "Ada")]
    for item in (span("a", 0, 14, "X", text=TEXT), span("a", 0, 15, "X", text=TEXT)):
        (post,) = read(tmp_path, task(item))  # to the end of the text, and a unit beyond
        assert [(e.start, e.end) for e in post.entities] == [(0, 14)]
    (wrong,) = read(tmp_path, task(span("a", 4, 7, "PER", text="Ada")))
    assert "a span says 'Ada', but the text from 4 to 7 is" in wrong.reason


@given(st.text(alphabet=st.sampled_from("a😀é👩\u200d💻\n"), max_size=12))
def test_utf_16_against_the_encoding_itself(text):
    units = [len(text[:i].encode("utf-16-le")) // 2 for i in range(len(text) + 1)]
    assert [to_utf16(text, i) for i in range(len(text) + 1)] == units
    assert [from_utf16(text, unit) for unit in units] == list(range(len(text) + 1))
    assert {from_utf16(text, i) for i in range(units[-1] + 1) if i not in units} <= {None}
    assert from_utf16(text, units[-1] + 1) is None


def test_which_annotation_is_read(tmp_path):
    def labelled(label: str, **more: Any) -> dict[str, Any]:
        return {"result": [span("a", 2, 5, label)]} | more

    def read_types(*annotations: Any) -> list[str] | None:
        (post,) = read(tmp_path, task() | {"annotations": list(annotations)})
        return None if post.entities is None else [entity.type for entity in post.entities]

    old, new = labelled("OLD", updated_at="2026-01-01T10"), labelled("NEW", updated_at="2026-01-02T10")
    assert read_types(old, new) == read_types(new, old) == ["NEW"]
    assert read_types(labelled("TRUE", ground_truth=True), new) == ["TRUE"]
    assert read_types(old, new | {"was_cancelled": True}) == ["OLD"]
    assert read_types(labelled("A"), labelled("B")) == ["B"]
    assert read_types(new | {"was_cancelled": True}) is None
    assert read_types() is None
    assert read_types({"result": []}) == []
    (post,) = read(tmp_path, {"data": {"text": TEXT}, "predictions": [{"result": [span("a", 2, 5, "PER")]}]})
    assert (post.id, post.entities) == (1, None)  # predictions are not labels


def test_pictures(tmp_path):
    def image(address: str, **options: Any) -> tuple[Any, str]:
        (post,) = read(tmp_path, task(data={"image": address, "alt_text": "a"}), **options)
        assert post.alt_text == "a"
        return post.image, post.picture_name

    assert image(f"{LOCAL_FILES}photos/a%20b.png") == (tmp_path / "photos" / "a b.png", "")
    assert image("photos/a.png") == (tmp_path / "photos" / "a.png", "")
    assert image("data:image/png;base64,QUJD") == (b"ABC", "")
    for address in (
        "https://example.org/x/a%20b.png?size=1",
        "/data/upload/3/a%20b.png",
        "s3://bucket/a%20b.png",
    ):
        assert image(address) == (None, "a b.png")
        assert image(address, images=tmp_path) == (tmp_path / "a b.png", "")
    refused, _ = image(f"{LOCAL_FILES}../../secret.png")
    assert "leads out of the folder" in refused.reason
    assert image("") == (None, "")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("text", "the task is the text 'text' without data"),
        ({"data": []}, "without data"),
        ({"data": {"text": 3}}, r"data\.text is the number 3"),
        (task(data={"image": 3}), r"data\.image is the number 3"),
        (task(data={"image": "http://[x"}), r"data\.image is 'http://\[x'"),
        (task(span("a", 2, 5)), "a span has the labels"),
        (task(span("a", 2, 5, "PER", "ORG")), r"labels \['PER', 'ORG'\]; expected one label"),
        (task(span("a", 2, 99, "PER")), "runs from 2 to 99"),
        (task(span("a", 2, "5", "PER")), "whole numbers"),
        (task(span("a", 2, 5, "PER") | {"type": "hypertextlabels"}), "labels are hypertextlabels"),
        (task(span("a", 2, 5, "PER"), relation("a", "b", "home")), "refers to an unknown span"),
        (task(span(["a"], 2, 5, "PER"), relation(["b"], {}, "home")), "refers to an unknown span"),
        (task(span("a", 2, 5, "PER"), relation("a", "a")), "a relation has the labels"),
        (task() | {"annotations": [{"result": "none"}]}, "result is the text 'none'"),
        (task(data={"text": "\ud800"}), "half of a surrogate pair"),
    ],
)  # fmt: skip
def test_an_invalid_task_is_rejected_and_does_not_stop_the_others(tmp_path, wrong, message):
    good = task(span("a", 2, 5, "PER"))
    first, rejected, last = read(tmp_path, good, wrong, good)
    assert isinstance(rejected, Rejected)
    assert rejected.origin.endswith("tasks.json:task 2")
    assert isinstance(first, Post)
    assert isinstance(last, Post)
    assert re.search(message, rejected.reason)


@pytest.mark.parametrize("value", [None, 5, "start", ["start"]])
def test_labels_without_offsets_are_ignored(tmp_path, value):
    spans = span("a", 2, 5, "PER"), {"id": "b", "type": "labels", "value": value}
    (post,) = read(tmp_path, task(*spans))
    assert [entity.text for entity in post.entities] == ["Ada"]


def test_a_truncated_file_keeps_the_tasks_before(tmp_path):
    file = tmp_path / "tasks.json"
    whole = json.dumps([task(data={"id": i, "text": f"post {i} " + "😀" * 40_000}) for i in range(5)])
    file.write_text(whole[:-200_000], encoding="utf-8")
    *posts, rest = open_corpus(file)
    assert [post.id for post in posts] == list(range(len(posts)))
    assert posts
    assert "the next item is not JSON" in rest.reason
    file.write_bytes(b'[{"data": {"text": "\xff"}}, {"data": {"text": "b"}}]')
    bad, good = open_corpus(file)
    assert "surrogate" in bad.reason
    assert good.text == "b"
    file.write_text('[{"data": {"text": "a"}},', encoding="utf-8")
    _, rest = open_corpus(file)
    assert "ends before its array does" in rest.reason


def test_long_files_are_read_in_order(tmp_path):
    tasks = [task(data={"id": i, "text": "é" * (i % 700)}) for i in range(3000)]
    file = tmp_path / "tasks.json"
    file.write_text("\ufeff" + json.dumps(tasks, indent=1, ensure_ascii=False), encoding="utf-8")
    assert [(post.id, len(post.text)) for post in open_corpus(file)] == [(i, i % 700) for i in range(3000)]
