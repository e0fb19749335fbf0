"""``twofold card``: what it prints and writes, and its errors for folders without a card."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_model

from twofold.cli.main import main
from twofold.model_folder.folder import write_manifest


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A tagger calibrated on posts in which one of three predicted entities is right."""
    folder = tmp_path_factory.mktemp("models")
    posts = [
        {"id": i, "text": "Anna left NASA , paris", "entities": [{"start": 10, "end": 14, "type": "ORG"}]}
        for i in range(80)
    ]
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    plain = tiny_model.build(folder / "plain")
    assert main(["calibrate", str(plain), str(folder / "posts.jsonl"), "-o", str(folder / "tagger")]) == 0
    return folder / "tagger"


def test_prints_and_writes_the_same(tagger, tmp_path, capsys):
    assert (
        main(["card", str(tagger), "-o", str(tmp_path / "card.md"), "--json", str(tmp_path / "card.json")])
        == 0
    )
    page = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == page
    assert "## Calibration" in page
    assert "not achievable on these data" in page
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert card["calibration"]["report"]["after"]["accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert card == json.loads((tagger / "card.json").read_text(encoding="utf-8"))


def test_json_alone_on_standard_output(tagger, capsys):
    assert main(["card", str(tagger), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tagger"


def test_a_folder_with_relations_has_two_cards(tagger, tmp_path, capsys):
    related = tiny_model.build_relations(tmp_path / "related")
    card = {"calibration": {"fitted_on": ["x"], "method": "temperature", "note": "a test"}}
    (related / "card.json").write_text(json.dumps(card), encoding="utf-8")
    write_manifest(related)
    assert main(["combine", str(tagger), str(related), "-o", str(tmp_path / "both")]) == 0
    capsys.readouterr()
    assert main(["card", str(tmp_path / "both"), "--json", str(tmp_path / "card.json")]) == 0
    page = capsys.readouterr().out
    assert [line for line in page.splitlines() if line.startswith("# ")] == ["# tagger", "# tiny-relations"]
    assert "**No thresholds and no prediction sets**: a test." in page
    both = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert both["relations"]["calibration"]["note"] == "a test"
    assert both["task"] == "entities"


def test_the_shipped_model_has_a_card(capsys):
    assert main(["card", "default"]) == 0
    assert "twitter2017/valid.txt" in capsys.readouterr().out


def test_missing_models_missing_cards_and_broken_cards(tmp_path, capsys):
    assert main(["card", str(tmp_path / "gone")]) == 2
    assert "no such folder" in capsys.readouterr().err
    plain = tiny_model.build(tmp_path / "plain")
    assert main(["card", str(plain)]) == 2
    assert "no model card" in capsys.readouterr().err
    (plain / "card.json").write_text('{"calibration": {"report": 3}}', encoding="utf-8")
    write_manifest(plain)
    assert main(["card", str(plain), "-o", str(tmp_path / "card.md")]) == 2
    shown = capsys.readouterr().err
    assert "the model card cannot be read" in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "card.md").exists()


def test_a_name_cannot_control_the_terminal(tagger, tmp_path, capsys):
    shutil.copytree(tagger, tmp_path / "copy")
    card = json.loads((tmp_path / "copy" / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "copy" / "card.json").write_text(json.dumps(card | {"name": "x\x1b[2J"}), encoding="utf-8")
    write_manifest(tmp_path / "copy")
    assert main(["card", str(tmp_path / "copy")]) == 0
    out = capsys.readouterr().out
    assert "x\\x1b[2J" in out
    assert "\x1b" not in out
