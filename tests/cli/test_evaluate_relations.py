"""``twofold evaluate`` with relations: scores of a case computed by hand."""

from __future__ import annotations

import json

import pytest
import tiny_model

from twofold.cli.main import main


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    tiny_model.build(place / "tagger")
    tiny_model.build_relations(place / "relations")
    assert main(["combine", str(place / "tagger"), str(place / "relations"), "-o", str(place / "both")]) == 0
    return place


def line(text: str, head: str, relation: str, tail: str) -> str:
    tokens = text.split()

    def end(words: str) -> dict:
        count = len(words.split())
        first = next(i for i in range(len(tokens)) if " ".join(tokens[i : i + count]) == words)
        return {"name": words, "pos": [first, first + count]}

    return str({"token": tokens, "h": end(head), "t": end(tail), "img_id": "1.jpg", "relation": relation})


ANNA = "Anna Smith joined NASA in paris"
# For gold pairs the tiny model predicts "member of" unless the text has a 0: the types are predicted by the
# tagger, and no constraint applies. End to end, the predicted relation must fit the predicted types.
LINES = [
    line(ANNA, "Anna Smith", "/per/org/member_of", "NASA"),  # predicted
    line("0 Bob met Ann", "Bob", "/per/per/peer", "Ann"),  # missed
    line("Bob met Ann", "Bob", "None", "Ann"),  # predicted, but gold is None
    line("Ann of NASA", "NASA", "/per/org/member_of", "Ann"),  # predicted with head and tail swapped
    line(ANNA, "NASA", "/org/loc/located_at", "paris"),  # predicted; the pair Anna, paris is not annotated
]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "mnre.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return tmp_path / "mnre.txt"


def test_scores_computed_by_hand(models, data, capsys):
    assert main(["evaluate", str(models / "both"), str(data)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-4:] == [
        "gold pairs P 50.00 R 50.00 F1 50.00 accuracy 40.00 of 5 pairs in 4 posts",
        "end to end, boundaries with or without types: P 40.00 R 50.00 F1 44.44",
        "end to end, annotated pairs only, boundaries with or without types: P 50.00 R 50.00 F1 50.00",
        "end to end, 4 of 4 gold triples have both arguments among the predicted entities",
    ]
    rows = {row.split()[0]: row.split()[1:] for row in out if row.startswith("/")}
    assert rows == {
        "/org/loc/located_at": ["0.00", "0.00", "0.00", "1", "0"],
        "/per/org/member_of": ["50.00", "100.00", "66.67", "2", "4"],
        "/per/per/peer": ["0.00", "0.00", "0.00", "1", "0"],
    }
    assert not any(row.startswith("lenient") for row in out)  # no entity scores without gold entities
    assert "posts     4 labelled, 0 rejected, 0 without labels" in out


def test_scores_in_a_file(models, data, tmp_path, capsys):
    target = tmp_path / "saved.json"
    assert main(["evaluate", str(models / "both"), str(data), "--json", str(target)]) == 0
    saved = json.loads(target.read_text(encoding="utf-8"))
    assert "lenient" not in saved
    assert saved["relations"]["posts"] == 4
    pairs = saved["relations"]["gold_pairs"]
    assert (pairs["pairs"], pairs["accuracy"]) == (5, 0.4)
    assert pairs["overall"] == {
        "precision": 0.5, "recall": 0.5, "f1": 0.5, "correct": 2, "predicted": 4, "gold": 4,
    }  # fmt: skip
    assert 0 <= pairs["calibration_error"] <= 1
    assert saved["relations"]["end_to_end"].pop("gold_with_both_arguments_found") == 4
    counts = {
        way: (score["correct"], score["predicted"], score["gold"])
        for way, score in saved["relations"]["end_to_end"].items()
    }
    assert counts == {
        "strict": (2, 5, 4), "boundaries": (2, 5, 4),
        "strict_annotated": (2, 4, 4), "boundaries_annotated": (2, 4, 4),
    }  # fmt: skip


def test_two_folders_score_like_a_combined_one(models, data, capsys):
    main(["evaluate", str(models / "both"), str(data)])
    one = capsys.readouterr().out.splitlines()[1:]
    arguments = ["--relation-model", str(models / "relations")]
    assert main(["evaluate", str(models / "tagger"), str(data), *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == one


def test_a_relation_model_alone_is_scored_on_gold_pairs(models, data, capsys):
    assert main(["evaluate", str(models / "relations"), str(data)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("gold pairs P")
    assert "end to end" not in out


def test_a_relation_model_alone_uses_gold_types_where_posts_give_them(models, tmp_path, capsys):
    # Types given with the entities may be used; those given with the relation would reveal the answer.
    anna, nasa = {"start": 0, "end": 4}, {"start": 8, "end": 12}
    post = {"id": 1, "text": "Anna of NASA", "relations": [{"head": anna, "tail": nasa, "type": "None"}]}
    for entities, expected in (
        ([anna | {"type": "LOC"}, nasa | {"type": "LOC"}], "accuracy 100.00"),
        ([anna | {"type": "PER"}, nasa | {"type": "ORG"}], "accuracy 0.00"),
    ):
        (tmp_path / "posts.jsonl").write_text(json.dumps(post | {"entities": entities}), encoding="utf-8")
        assert main(["evaluate", str(models / "relations"), str(tmp_path / "posts.jsonl")]) == 0
        assert expected in capsys.readouterr().out


def test_posts_with_both_are_scored_for_both(models, tmp_path, capsys):
    anna, nasa = {"start": 0, "end": 4, "type": "PER"}, {"start": 8, "end": 12, "type": "ORG"}
    relation = {"head": anna, "tail": nasa, "type": "/per/org/member_of"}
    lines = [
        {"id": 1, "text": "Anna of NASA", "entities": [anna, nasa], "relations": [relation]},
        {"id": 2, "text": "Anna", "entities": [anna]},
        {"id": 3, "text": "unlabelled"},
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert main(["evaluate", str(models / "both"), str(tmp_path / "posts.jsonl"), "--trust"]) == 0
    out = capsys.readouterr().out
    assert "lenient P 100.00 R 100.00 F1 100.00" in out
    assert "gold pairs P 100.00 R 100.00 F1 100.00 accuracy 100.00 of 1 pair in 1 post" in out
    assert "end to end, boundaries with or without types: P 100.00 R 100.00 F1 100.00" in out
    assert "2 labelled, 0 rejected, 1 without labels" in out


def test_trust_without_gold_entities(models, data, capsys):
    assert main(["evaluate", str(models / "both"), str(data), "--trust"]) == 0
    assert "gold pairs P 50.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("tagger", [], "posts with gold entities;"),
        ("both", ["--no-relations"], "posts with gold entities;"),
    ],
)
def test_data_that_the_model_cannot_be_scored_on(models, data, capsys, model, options, expected):
    assert main(["evaluate", str(models / model), str(data), *options]) == 2
    assert f"no labelled post; expected {expected}" in capsys.readouterr().err


def test_a_relation_model_alone_cannot_be_scored_on_entities(models, tmp_path, capsys):
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "Anna", "entities": []}', encoding="utf-8")
    assert main(["evaluate", str(models / "relations"), str(tmp_path / "posts.jsonl")]) == 2
    assert "expected posts with gold relations;" in capsys.readouterr().err


def test_trust_report_of_relations_of_gold_pairs(models, data, tmp_path, capsys):
    target = tmp_path / "saved.json"
    assert main(["evaluate", str(models / "both"), str(data), "--trust", "--json", str(target)]) == 0
    trust = json.loads(target.read_text(encoding="utf-8"))["trust"]
    # Without gold entities, there is no trust report of entities.
    assert list(trust) == ["relations", "relations_gold_arguments", "relations_end_to_end"]
    assert trust["relations"]["error_types"] == {"right": 2, "spurious": 1, "wrong_relation": 1}
    assert trust["relations"]["calibration"]["all"]["missed"] == 2
    out = capsys.readouterr().out
    assert "2 right, 1 spurious, 1 wrong relation; 2 gold relations missed" in out
    assert "gold pairs P 50.00" in out
