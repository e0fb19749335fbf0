"""``twofold evaluate`` with relations: figures against a case worked out by hand."""

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
# Of gold pairs the tiny model says "member of" unless there is a 0: types are the tagger's guesses there and
# forbid nothing. End to end, types are told with the relation, and it must fit them.
LINES = [
    line(ANNA, "Anna Smith", "/per/org/member_of", "NASA"),  # found
    line("0 Bob met Ann", "Bob", "/per/per/peer", "Ann"),  # missed
    line("Bob met Ann", "Bob", "None", "Ann"),  # found, where nothing is
    line("Ann of NASA", "NASA", "/per/org/member_of", "Ann"),  # found the other way round
    line(ANNA, "NASA", "/org/loc/located_at", "paris"),  # found; of Anna and paris nothing is known
]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "mnre.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return tmp_path / "mnre.txt"


def test_figures_by_hand(models, data, capsys):
    assert main(["evaluate", str(models / "both"), str(data)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-4:] == [
        "gold pairs P 50.00 R 50.00 F1 50.00 accuracy 40.00 of 5 pairs in 4 posts",
        "end to end, boundaries with or without types: P 40.00 R 50.00 F1 44.44",
        "end to end, annotated pairs only, boundaries with or without types: P 50.00 R 50.00 F1 50.00",
        "end to end, 4 of 4 gold triples have both arguments among the entities found",
    ]
    rows = {row.split()[0]: row.split()[1:] for row in out if row.startswith("/")}
    assert rows == {
        "/org/loc/located_at": ["0.00", "0.00", "0.00", "1", "0"],
        "/per/org/member_of": ["50.00", "100.00", "66.67", "2", "4"],
        "/per/per/peer": ["0.00", "0.00", "0.00", "1", "0"],
    }
    assert not any(row.startswith("lenient") for row in out)  # no gold entities, no scores of entities
    assert "posts     4 labelled, 0 rejected, 0 without labels" in out


def test_figures_in_a_file(models, data, tmp_path, capsys):
    target = tmp_path / "figures.json"
    assert main(["evaluate", str(models / "both"), str(data), "--json", str(target)]) == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert "lenient" not in figures
    assert figures["relations"]["posts"] == 4
    pairs = figures["relations"]["gold_pairs"]
    assert (pairs["pairs"], pairs["accuracy"]) == (5, 0.4)
    assert pairs["overall"] == {
        "precision": 0.5, "recall": 0.5, "f1": 0.5, "correct": 2, "predicted": 4, "gold": 4,
    }  # fmt: skip
    assert 0 <= pairs["calibration_error"] <= 1
    assert figures["relations"]["end_to_end"].pop("gold_with_both_arguments_found") == 4
    counts = {
        way: (score["correct"], score["predicted"], score["gold"])
        for way, score in figures["relations"]["end_to_end"].items()
    }
    assert counts == {
        "strict": (2, 5, 4), "boundaries": (2, 5, 4),
        "strict_annotated": (2, 4, 4), "boundaries_annotated": (2, 4, 4),
    }  # fmt: skip


def test_two_folders_score_as_one(models, data, capsys):
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
    # Types told with the entities may be used; those told with the relation name what is to be found.
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
    assert "gold pairs P 100.00 R 100.00 F1 100.00 accuracy 100.00 of 1 pairs in 1 posts" in out
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


def test_a_relation_model_alone_has_nothing_to_say_of_entities(models, tmp_path, capsys):
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "Anna", "entities": []}', encoding="utf-8")
    assert main(["evaluate", str(models / "relations"), str(tmp_path / "posts.jsonl")]) == 2
    assert "expected posts with gold relations;" in capsys.readouterr().err


def test_trust_in_relations_between_gold_pairs(models, data, tmp_path, capsys):
    target = tmp_path / "figures.json"
    assert main(["evaluate", str(models / "both"), str(data), "--trust", "--json", str(target)]) == 0
    trust = json.loads(target.read_text(encoding="utf-8"))["trust"]
    # No gold entities, no trust in entities.
    assert list(trust) == ["relations", "relations_gold_arguments", "relations_end_to_end"]
    assert trust["relations"]["error_types"] == {"right": 2, "spurious": 1, "wrong_relation": 1}
    assert trust["relations"]["calibration"]["all"]["missed"] == 2
    out = capsys.readouterr().out
    assert "2 right, 1 spurious, 1 wrong relation; 2 gold relations missed" in out
    assert "gold pairs P 50.00" in out
