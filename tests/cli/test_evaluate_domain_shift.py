"""``twofold evaluate --trust --other-domain/--shift``: which data are compared, and what is reported."""

from __future__ import annotations

import json

import pytest
import tiny_model

from twofold.cli.main import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def files(tmp_path):
    """Data (Anna, NASA and paris are predicted; Bob has no label), other posts, and training data."""
    lines = [
        {"id": 1, "text": "Anna left NASA", "entities": [{"start": 0, "end": 4, "type": "PER"}]},
        {"id": 2, "text": "the sea at paris", "entities": [{"start": 11, "end": 16, "type": "LOC"}]},
        {"id": 3, "text": "Bob"},
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    other = ['{"id": 1, "text": "Carl"}', "no", '{"id": 2, "text": "the sea"}']
    (tmp_path / "foreign.jsonl").write_text("\n".join(other), encoding="utf-8")
    (tmp_path / "train.txt").write_text("IMGID:1\nanna\tB-PER\nleft\tO\nParis\tB-LOC\n\n", encoding="utf-8")
    return tmp_path


def evaluate(model, files, *arguments):
    target = files / "figures.json"
    code = main(["evaluate", model, str(files / "data.jsonl"), "--trust", "--json", str(target), *arguments])
    return code, json.loads(target.read_text(encoding="utf-8"))["domain_shift"]


def test_other_posts_labelled_or_not(model, files, capsys):
    other = str(files / "foreign.jsonl")
    code, (found,) = evaluate(model, files, "--other-domain", other)
    assert code == 1  # a line was rejected
    assert "foreign.jsonl:2: rejected" in capsys.readouterr().err
    assert (found["name"], found["items"], found["from"]["path"]) == ("foreign.jsonl", "posts", other)
    assert (found["in_domain"]["items"], found["in_domain"]["predicted"], found["in_domain"]["accuracy"]) == (
        2,
        3,
        0.666667,
    )
    assert (found["ood"]["items"], found["ood"]["predicted"], found["ood"]["f1"]) == (2, 1, None)
    by_entities, by_words = (found["detection"][f"{n}_confidence_max"] for n in ("entity", "word"))
    assert (by_entities["in_domain"], by_entities["ood"]) == (2, 1)
    assert (by_words["in_domain"], by_words["ood"]) == (2, 2)
    assert by_words["auroc"]["low"] <= by_words["auroc"]["value"] <= by_words["auroc"]["high"]


def test_labelled_posts_of_another_domain_are_scored(model, files):
    code, (found,) = evaluate(model, files, "--other-domain", str(files / "train.txt"), "--no-relations")
    assert code == 0
    assert found["ood"]["f1"] == 0.666667  # anna is not predicted
    _, (same,) = evaluate(model, files, "--other-domain", str(files / "data.jsonl"))
    assert same["ood"]["items"] == 3  # the unlabelled post is used, too


def test_typos(model, files, capsys):
    code, (found,) = evaluate(model, files, "--shift", "typos", "--typo-rate", "1")
    assert code == 0
    assert found["name"] == "typos in 100 % of the longer words"
    assert found["in_domain"]["items"] == found["ood"]["items"] == 2
    assert found["ood"]["predicted"] < found["in_domain"]["predicted"]  # paris is not recognised with a typo
    assert "word 1 − confidence max" in capsys.readouterr().out


def test_new_entities(model, files):
    code, (found,) = evaluate(
        model, files, "--shift", "new-entities", "--training-data", str(files / "train.txt")
    )
    assert code == 0
    assert found["items"] == "entities"
    assert (found["in_domain"]["items"], found["ood"]["items"]) == (
        2,
        1,
    )  # only NASA is new, ignoring case
    assert (found["in_domain"]["accuracy"], found["ood"]["accuracy"]) == (1.0, 0.0)
    assert found["from"]["surfaces"] == 2
    assert set(found["detection"]) == {"confidence", "aleatoric", "epistemic", "total"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shift", "typos"], "add --trust"),
        (["--trust", "--shift", "new-entities"], "--training-data"),
        (["--trust", "--training-data", "train.txt"], "--shift new-entities"),
        (["--trust", "--shift", "typos", "--typo-rate", "0"], "typo rate is 0"),
        (["--trust", "--shift", "new-entities", "--training-data", "foreign.jsonl"], "no labelled post"),
        (["--trust", "--other-domain", "empty.jsonl"], "no post"),
        (["--trust", "--other-domain", "gone.txt"], "gone.txt"),
    ],
)
def test_mistakes(model, files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    (files / "empty.jsonl").write_text("\n", encoding="utf-8")
    assert main(["evaluate", model, "data.jsonl", *arguments, "--json", "x.json"]) == 2
    assert message in capsys.readouterr().err
    assert not (files / "x.json").exists()


def test_a_model_that_predicts_no_entities(files, capsys):
    folder = str(tiny_model.build_relations(files / "pairs"))
    pair = {"head": {"start": 0, "end": 4, "type": "PER"}, "tail": {"start": 10, "end": 14, "type": "ORG"}}
    line = {"id": 1, "text": "Anna left NASA", "relations": [{**pair, "type": "/per/org/member_of"}]}
    (files / "pairs.jsonl").write_text(json.dumps(line), encoding="utf-8")
    assert main(["evaluate", folder, str(files / "pairs.jsonl"), "--trust", "--shift", "typos"]) == 2
    assert "a model that predicts them" in capsys.readouterr().err


def test_the_page(model, files, capsys):
    target = files / "trust.html"
    code, _ = evaluate(
        model, files, "--trust-report", str(target), "--other-domain", str(files / "train.txt")
    )
    assert code == 0
    page = target.read_text(encoding="utf-8")
    assert "data.jsonl" in page
    assert "train.txt" in page
    assert 'id="entities"' in page
    assert 'id="out-of-distribution"' in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trust-report", "t.html"], "add --trust"),
        (["--trust", "--trust-report", "data.jsonl"], "is the same file as one that is read"),
        (["--trust", "--trust-report", "x.json"], "is another output of the same command"),
    ],
)
def test_mistakes_with_the_page(model, files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    before = (files / "data.jsonl").read_bytes()
    assert main(["evaluate", model, "data.jsonl", *arguments, "--json", "x.json"]) == 2
    assert message in capsys.readouterr().err
    assert (files / "data.jsonl").read_bytes() == before


def test_the_page_of_a_model_with_relations(tmp_path, capsys):
    tiny_model.build(tmp_path / "tagger")
    tiny_model.build_relations(tmp_path / "relations")
    target, figures = tmp_path / "trust.html", tmp_path / "x.json"
    pair = {"head": {"start": 0, "end": 4, "type": "PER"}, "tail": {"start": 10, "end": 14, "type": "ORG"}}
    line = {"id": 1, "text": "Anna left NASA", "relations": [{**pair, "type": "/per/org/member_of"}]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(line), encoding="utf-8")
    model = [str(tmp_path / "tagger"), str(tmp_path / "pairs.jsonl")]
    related = ["--relation-model", str(tmp_path / "relations")]
    assert (
        main(["evaluate", *model, *related, "--trust", "--trust-report", str(target), "--json", str(figures)])
        == 0
    )
    page = target.read_text(encoding="utf-8")
    trust = json.loads(figures.read_text(encoding="utf-8"))["trust"]
    assert set(trust) == {"relations", "relations_gold_arguments", "relations_end_to_end"}
    for name in ("relations", "relations-between-gold-arguments", "relations-end-to-end"):
        assert f'<section class="part" id="{name}"' in page
