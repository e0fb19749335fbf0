"""``twofold combine``, and extraction with the combined model."""

from __future__ import annotations

import json

import pytest
import tiny_model

from twofold.cli.main import main

POST = {"id": 1, "text": "Anna Smith joined NASA in paris"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder / "tagger")
    tiny_model.build_relations(folder / "relations")
    return folder


@pytest.fixture
def run(place, tmp_path, monkeypatch, capsys):
    """Runs a command; returns its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "posts.jsonl").write_text(json.dumps(POST) + "\n", encoding="utf-8")

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def relations(out: str) -> list[tuple[str, str, str]]:
    record = json.loads(out)
    text = [entity["text"] for entity in record["entities"]]
    return [(text[r["head"]], r["type"], text[r["tail"]]) for r in record["relations"]]


EXPECTED = [
    ("Anna Smith", "/per/org/member_of", "NASA"),
    ("Anna Smith", "/per/loc/place_of_residence", "paris"),
    ("NASA", "/org/loc/located_at", "paris"),
]


def test_both_in_one_folder(run, place):
    code, out, _ = run("combine", place / "tagger", place / "relations", "-o", "both")
    assert code == 0
    assert "shared: text.onnx, picture.onnx, tokenizer.json" in out
    code, out, _ = run("extract", "posts.jsonl", "--model", "both")
    assert code == 0
    assert relations(out) == EXPECTED
    assert json.loads(out)["model"] == "tiny"


def test_two_folders_and_no_relation_model(run, place):
    code, out, err = run(
        "extract", "posts.jsonl", "--model", place / "tagger", "--relation-model", place / "relations"
    )
    assert code == 0
    assert relations(out) == EXPECTED
    assert json.loads(out)["model"] == "tiny+tiny-relations"
    assert "1 post, 3 entities, 3 relations, 0 pictures" in err
    run("combine", place / "tagger", place / "relations", "-o", "both")
    for arguments in (["--model", "both", "--no-relations"], ["--model", place / "tagger"]):
        code, out, err = run("extract", "posts.jsonl", *arguments)
        assert (code, relations(out)) == (0, [])
        assert "3 entities, 0 pictures" in err


def test_a_relation_model_alone_uses_the_entities_of_the_posts(run, place, tmp_path):
    given = [{"start": 0, "end": 10, "type": "PER"}, {"start": 18, "end": 22, "type": "ORG"}]
    lines = [POST | {"entities": given}, POST]
    (tmp_path / "given.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    code, out, err = run("extract", "given.jsonl", "--model", place / "relations")
    first, second = out.splitlines()
    assert code == 0
    assert relations(first) == EXPECTED[:1]
    assert "confidence" not in json.loads(first)["entities"][0]
    assert json.loads(second)["entities"] == []
    assert "given.jsonl:2 (id 1): this model predicts no entities, and the post provides none" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["combine", "R", "T", "-o", "x"], "relations: the model is for relations; expected a model for ent"),
        (["combine", "T", "T", "-o", "x"], "tagger: the model is for entities; expected a model for relat"),
        (["combine", "T", "R", "-o", "R"], "the output would replace the relation model"),
        (["combine", "T", "gone", "-o", "x"], "no such folder"),
        (["combine", "T", "R", "-o", "taken"], "the place is taken by something that is not a model"),
        (
            ["extract", "posts.jsonl", "--model", "R", "--relation-model", "T"],
            "is for relations; expected a tagger",
        ),
        (["extract", "posts.jsonl", "--model", "T", "--relation-model", "T"], "expected a relation model"),
        (["extract", "posts.jsonl", "--model", "T", "--relation-model", "gone"], "no such folder"),
    ],
)
def test_mistakes(run, place, tmp_path, arguments, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("years", encoding="utf-8")
    names = {"T": place / "tagger", "R": place / "relations"}
    code, out, err = run(*(names.get(argument, argument) for argument in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["posts.jsonl", "taken"]


def test_relations_and_no_relations_do_not_go_together(run, place):
    with pytest.raises(SystemExit):
        run("extract", "posts.jsonl", "--relation-model", place / "relations", "--no-relations")
