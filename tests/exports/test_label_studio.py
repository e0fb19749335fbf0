"""Tasks for Label Studio, validated by its own library, and read back after annotation."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from exports import results
from exports.results import IDS, TEXTS, extractions, labels

from twofold.cli.main import main
from twofold.corpora import open_corpus
from twofold.corpora.label_studio import NO_PICTURE


def export(folder, *options) -> tuple[list[dict], str]:
    found, posts = results.write(folder)
    code = main(["export", str(found), str(folder / "tasks.json"), "--to", "label-studio",
                 "--posts", str(posts), *options])  # fmt: skip
    assert code == 0
    config = (folder / "tasks.xml").read_text(encoding="utf-8")
    return json.loads((folder / "tasks.json").read_text(encoding="utf-8")), config


def submitted(tasks: list[dict]) -> list[dict]:
    """Tasks as exported by Label Studio after the pre-annotations were submitted unchanged."""
    return [
        {"id": i, "data": task["data"], "annotations": [
            {"id": i, "was_cancelled": False, "result": task["predictions"][0]["result"]}
        ]} for i, task in enumerate(tasks)
    ]  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--javascript-offsets",), ("--embed-pictures",)])
def test_submitted_tasks_are_read_back(tmp_path, options):
    tasks, _ = export(tmp_path, *options)
    (tmp_path / "labelled.json").write_text(json.dumps(submitted(tasks)), encoding="utf-8")
    posts = list(open_corpus(tmp_path / "labelled.json"))
    assert [(post.id, post.text) for post in posts] == list(zip(IDS, TEXTS, strict=True))
    assert [labels(post) for post in posts] == [labels(extraction) for extraction in extractions()]
    picture = (tmp_path / "photos" / "a b.png").read_bytes()
    assert posts[0].alt_text == "a <red> square"
    image = posts[0].image
    assert (image if isinstance(image, bytes) else image.read_bytes()) == picture
    assert [post.image for post in posts[1:]] == [None] * 3
    assert posts[1].entities == ()


def test_offsets_are_those_of_python_or_of_javascript(tmp_path):
    for folder, options in (("python", ()), ("javascript", ("--javascript-offsets",))):
        tasks, _ = export(tmp_path / folder, *options)
        units = tasks[0]["data"]["text"].encode("utf-16-le")
        for item in tasks[0]["predictions"][0]["result"][:4]:
            start, end, words = (item["value"][key] for key in ("start", "end", "text"))
            if options:
                assert units[2 * start : 2 * end].decode("utf-16-le") == words
            else:
                assert TEXTS[0][start:end] == words


def test_pictures_scores_and_names(tmp_path):
    tasks, config = export(tmp_path, "--more-types", "MISC, EVENT", "--more-relations", "peer, parent")
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=photos/a%20b.png"
    assert tasks[1]["data"]["image"] == NO_PICTURE
    assert [task["predictions"][0].get("score") for task in tasks] == [0.4, None, None, 0.6]
    assert {task["predictions"][0]["model_version"] for task in tasks} == {"m"}
    view = ElementTree.fromstring(config)
    assert {x.get("value") for x in view.find("Labels")} == {"PER", "LOC", "ORG", "MISC", "EVENT"}
    assert view.find("Labels").get("toName") == view.find("Text").get("name") == "text"
    assert {x.get("value") for x in view.find("Relations")} == {
        "/per/loc/place_of_residence", "/per/org/member_of", "/loc/loc/contain", "peer", "parent",
    }  # fmt: skip
    assert view.find("Image").get("value") == "$image"
    found = tmp_path / "out.jsonl"
    assert main(["export", str(found), str(tmp_path / "plain.json"), "--to", "label-studio"]) == 0
    assert "<Image" not in (tmp_path / "plain.xml").read_text(encoding="utf-8")


def test_less_confident_entities_are_left_out_with_their_relations(tmp_path):
    tasks, _ = export(tmp_path, "--min-confidence", "0.75")
    texts = [[x["value"]["text"] for x in t["predictions"][0]["result"] if "value" in x] for t in tasks]
    assert texts == [["Ada Lovelace", "Bob", "NASA"], [], [], ["Zürich"]]
    assert all(x["type"] == "labels" for task in tasks for x in task["predictions"][0]["result"])


def test_gold_labels_become_annotations(tmp_path):
    record = {"id": 1, "text": "Ada in Turin", "entities": [{"start": 0, "end": 3, "type": "PER"}]}
    (tmp_path / "gold.jsonl").write_text(json.dumps(record) + "\n{}\n", encoding="utf-8")
    target = tmp_path / "tasks.json"
    assert main(["export", str(tmp_path / "gold.jsonl"), str(target), "--to", "label-studio"]) == 1
    (task,) = json.loads(target.read_text(encoding="utf-8"))
    assert task["annotations"][0]["result"][0]["value"]["text"] == "Ada"
    (post,) = open_corpus(target)
    assert labels(post) == ([(0, 3, "Ada", "PER")], [])


def test_pictures_outside_the_folder_are_left_out(tmp_path, capsys):
    found, posts = results.write(tmp_path / "in")
    lines = posts.read_text(encoding="utf-8").replace("photos/a b.png", "../../secret.png")
    posts.write_text(lines, encoding="utf-8")
    target = tmp_path / "in" / "tasks.json"
    for extra in ((), ("--embed-pictures",)):
        assert (
            main(["export", str(found), str(target), "--to", "label-studio", "--posts", str(posts), *extra])
            == 0
        )
        assert json.loads(target.read_text(encoding="utf-8"))[0]["data"]["image"] == NO_PICTURE
        assert "pictures outside the folder of the posts (1)" in capsys.readouterr().err


def test_invalid_combinations_of_options(tmp_path, capsys):
    found, posts = results.write(tmp_path)
    target = str(tmp_path / "tasks.json")
    for arguments, message in [
        ([str(posts), target, "--posts", str(posts)], "IN has no results"),
        ([str(found), target, "--images", str(tmp_path)], "need --posts"),
        ([str(found), target, "--min-confidence", "7"], "--min-confidence is 7"),
        ([str(found), str(found), "--posts", str(posts)], "out.jsonl"),
    ]:
        assert main(["export", *arguments, "--to", "label-studio"]) == 2
        assert message in capsys.readouterr().err


def test_the_library_of_label_studio_accepts_the_tasks(tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface", reason="needs label-studio-sdk")
    tasks, config = export(tmp_path)
    label_interface = interface.LabelInterface(config)
    label_interface.validate()
    for task in tasks:
        assert label_interface.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert label_interface.validate_prediction(prediction, return_errors=True) == []
    wrong = json.loads(json.dumps(tasks[0]["predictions"][0]).replace('"PER"', '"PERSON"'))
    assert label_interface.validate_prediction(wrong, return_errors=True) != []


def test_the_converter_of_label_studio_writes_the_same_entities(tmp_path):
    converter = pytest.importorskip("label_studio_sdk.converter", reason="needs label-studio-sdk")
    tasks, config = export(tmp_path)
    (tmp_path / "labelled").mkdir()
    source = tmp_path / "labelled" / "all.json"
    source.write_text(json.dumps(submitted(tasks)), encoding="utf-8")
    (tmp_path / "tasks.xml").write_text(config, encoding="utf-8")
    made = converter.Converter(str(tmp_path / "tasks.xml"), str(tmp_path))
    made.convert(str(source), str(tmp_path / "conll"), "CONLL2003", is_dir=False)
    rows = (tmp_path / "conll" / "result.conll").read_text(encoding="utf-8").split("\n")
    tagged = [row.split(" ") for row in rows if " -X- _ " in row]
    assert [row[0] for row in tagged if row[-1].startswith("B-")] == [
        "Ada",
        "Bob",
        "New",
        "NASA",
        "Zürich",
        "Switzerland",
    ]
    assert [row[-1][2:] for row in tagged if row[-1].startswith("B-")] == [
        "PER",
        "PER",
        "LOC",
        "ORG",
        "LOC",
        "LOC",
    ]
