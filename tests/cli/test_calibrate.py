"""``twofold calibrate``: a copy of the model with new confidences, and the error rates it guarantees."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest
import tiny_model

import twofold
from twofold.calibration.calibration import Calibration, read_calibration
from twofold.calibration.fit import CalibrationFit
from twofold.calibration.write import write_calibrated_copy
from twofold.cli.main import main
from twofold.crf import DecisionRule
from twofold.model_folder.folder import open_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Posts in which the predicted PER is right in 7 of 10 cases, the ORG always, the LOC in half of them."""
    rng = random.Random(0)
    lines = []
    for number in range(240):
        gold = [{"start": 10, "end": 14, "type": "ORG"}]
        if rng.random() < 0.7:
            gold.append({"start": 0, "end": 4, "type": "PER"})
        if rng.random() < 0.5:
            gold.append({"start": 17, "end": 22, "type": "LOC"})
        lines.append(json.dumps({"id": number, "text": "Anna left NASA , paris", "entities": gold}))
    path = tmp_path_factory.mktemp("data") / "posts.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def calibrated(model, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "mine"
    assert main(["calibrate", str(model), str(data), "-o", str(out), "--method", "types"]) == 0
    return out


def test_confidences_become_those_of_the_data(model, calibrated):
    post = {"id": 1, "text": "Anna left NASA , paris"}
    (before,), (after,) = (twofold.load(folder).extract([post]) for folder in (model, calibrated))
    assert [e.type for e in before.entities] == [e.type for e in after.entities] == ["PER", "ORG", "LOC"]
    confidence = {entity.type: entity.confidence for entity in after.entities}
    assert confidence == pytest.approx({"PER": 0.7, "ORG": 1.0, "LOC": 0.5}, abs=0.12)


def test_the_file_holds_what_was_fitted_and_measured(calibrated):
    record = json.loads((calibrated / "calibration.json").read_text(encoding="utf-8"))
    assert record["report"]["after"]["ece"] < record["report"]["before"]["ece"]
    assert sum(record["report"]["posts"].values()) == 240
    assert record["method"] == "types"
    calibration = read_calibration(calibrated / "calibration.json")
    assert set(calibration.temperature_by_type) == {"PER", "ORG", "LOC"}
    assert calibration.conformal.classes == ("LOC", "MISC", "ORG", "PER", "none")


def test_the_card_describes_the_calibration_once(calibrated, data, tmp_path):
    out = tmp_path / "again"
    assert main(["calibrate", str(calibrated), str(data), "-o", str(out)]) == 0
    page = (out / "README.md").read_text(encoding="utf-8")
    assert page.count("## Calibration") == 1
    assert "method `temperature`" in page
    assert (
        json.loads((out / "card.json").read_text(encoding="utf-8"))["calibration"]["method"] == "temperature"
    )
    assert str(data.parent.parent) not in page  # no paths of this machine


def test_a_copy_has_its_own_name(model, data, calibrated, tmp_path):
    """Its output can be distinguished from that of the original model."""
    post = {"id": 1, "text": "Anna left NASA , paris"}
    named = tmp_path / "out"
    assert main(["calibrate", str(calibrated), str(data), "-o", str(named), "--name", "news"]) == 0
    names = [next(twofold.load(folder).extract([post])).model for folder in (model, calibrated, named)]
    assert names == ["tiny", "mine", "news"]
    card = json.loads((named / "card.json").read_text(encoding="utf-8"))
    manifest = hashlib.sha256((calibrated / "manifest.json").read_bytes()).hexdigest()
    assert (card["name"], card["calibrated_from"]) == ("news", {"name": "mine", "manifest_sha256": manifest})
    page = (named / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# news\n\nCalibrated copy of `mine` (manifest SHA-256 ")
    assert page.count("Calibrated copy of") == 1


def test_the_decision_rule_is_passed_from_copy_to_copy(model, data, tmp_path, capsys):
    mine, again, back = (tmp_path / name for name in ("mine", "again", "back"))
    decision_rule = DecisionRule(0.65, 1.25)
    fitted = CalibrationFit(
        Calibration(1.0, decision_rule=decision_rule),
        {"method": "temperature", "fitted_on": ["x"], "note": "few"},
    )
    write_calibrated_copy(open_folder(model), mine, {"entities": fitted})
    assert predicted_types(mine) == ["PER", "LOC"]  # of confidence 0.69 and 0.99; ORG has 0.63
    assert main(["calibrate", str(mine), str(data), "-o", str(again)]) == 0
    assert read_calibration(again / "calibration.json").decision_rule == decision_rule
    assert predicted_types(again) == ["PER", "LOC"]
    assert "F1-optimal decoding: the model predicts" in (again / "README.md").read_text(encoding="utf-8")
    assert main(["calibrate", str(mine), str(data), "-o", str(back), "--decode", "viterbi"]) == 0
    assert read_calibration(back / "calibration.json").decision_rule is None
    assert predicted_types(back) == ["PER", "ORG", "LOC"]
    capsys.readouterr()
    assert main(["calibrate", str(mine), str(data), "-o", str(back), "--decode", "f1"]) == 0
    # The most confident predictions are wrong most often, so no threshold is better.
    assert "Viterbi decoding is kept" in capsys.readouterr().out
    assert predicted_types(back) == ["PER", "ORG", "LOC"]


def predicted_types(folder):
    (extraction,) = twofold.load(folder).extract([{"id": 1, "text": "Anna left NASA , paris"}])
    return [entity.type for entity in extraction.entities]


def test_reports_which_error_rates_can_be_guaranteed(model, data, tmp_path, capsys):
    assert main(["calibrate", str(model), str(data), "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "error rate at most 2.0 % (95.0 % confidence): not achievable on these data" in out
    assert "prediction sets with coverage 90.0 %: cover" in out
    assert "tuning split: " in out


def test_only_a_model_folder_is_replaced_by_the_calibrated_copy(model, data, tmp_path):
    own = tiny_model.build(tmp_path / "own")
    assert main(["calibrate", str(own), str(data), "-o", str(own)]) == 0
    assert read_calibration(own / "calibration.json").risk_curve is not None
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["calibrate", str(model), str(data), "-o", str(tmp_path / "taken")]) == 2
    assert (tmp_path / "taken" / "thesis.txt").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1, "text": "Anna", "entities": []}', "more labelled posts"),
        ('{"id": 1, "text": "Anna"}', "no labelled post"),
        (
            '{"id": 1, "text": "Anna", "entities": [], "picture": {"status": "none"}, "model": "m"}',
            "is a result of `twofold extract`, not labels",
        ),
    ],
)
def test_too_little(model, tmp_path, capsys, content, message):
    (tmp_path / "posts.jsonl").write_text(content, encoding="utf-8")
    assert main(["calibrate", str(model), str(tmp_path / "posts.jsonl"), "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rejected_records_are_counted(model, data, tmp_path):
    (tmp_path / "posts.jsonl").write_text(data.read_text(encoding="utf-8") + "\nno\n", encoding="utf-8")
    assert main(["calibrate", str(model), str(tmp_path / "posts.jsonl"), "-o", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out" / "manifest.json").is_file()


def extract(model, capsys, *options):
    assert main(["extract", "--model", str(model), "--text", "Anna left NASA , paris", *options]) == 0
    shown = capsys.readouterr()
    return {entity["type"]: entity for entity in json.loads(shown.out)["entities"]}, shown.err


def test_uncertain_entities_are_marked_for_review(calibrated, capsys):
    found, messages = extract(calibrated, capsys, "--max-error", "0.1")
    assert {kind: entity["review"] for kind, entity in found.items()} == {
        "PER": True, "ORG": False, "LOC": True,
    }  # fmt: skip
    assert "(33% on the calibration posts); on posts like these, at most 10.0% of them are wrong" in messages
    found, _ = extract(calibrated, capsys, "--max-error", "0.4")
    assert not found["PER"]["review"]


def test_prediction_sets_grow_with_uncertainty(calibrated, capsys):
    found, _ = extract(calibrated, capsys, "--coverage", "0.8")
    assert {kind: entity["candidates"] for kind, entity in found.items()} == {
        "PER": ["PER"], "ORG": ["ORG"], "LOC": ["LOC", "none"],
    }  # fmt: skip
    assert "review" not in found["LOC"]
    found, _ = extract(calibrated, capsys, "--coverage", "0.9")
    assert found["PER"]["candidates"] == ["PER", "none"]
    found, _ = extract(calibrated, capsys)
    assert "candidates" not in found["LOC"]


def test_lines_with_marks_and_sets_fit_the_schema(calibrated, data, tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    schema = json.loads(
        (Path(twofold.__file__).parent / "schemas" / "extraction.schema.json").read_text(encoding="utf-8")
    )
    options = ["--max-error", "0.2", "--coverage", "0.9", "-o", str(tmp_path / "out.jsonl")]
    assert main(["extract", str(data), "--model", str(calibrated), *options]) == 0
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    jsonschema.validate(json.loads(lines[0]), schema)
    assert len(lines) == 240


def test_table_shows_marks_and_sets(calibrated, capsys):
    arguments = ["extract", "--model", str(calibrated), "--text", "Anna left NASA , paris", "--table"]
    assert main([*arguments, "--max-error", "0.1", "--coverage", "0.8"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows if row[:1] == ["?"]] == [["?", "Anna", "PER"], ["?", "paris", "LOC"]]
    assert ["or", "none"] in rows


def test_an_error_rate_that_cannot_be_guaranteed_is_refused_with_reasons(calibrated, capsys):
    arguments = ["extract", "--model", str(calibrated), "--text", "Anna"]
    assert main([*arguments, "--max-error", "0.01"]) == 2
    messages = capsys.readouterr().err
    assert "no confidence threshold guarantees that at most 1.0% of the entities are wrong" in messages
    assert "at least 299 entities that can be tested, and the calibration posts have 121" in messages
    assert "expected an error rate of at least 0.025 (33% of the entities are accepted)" in messages
    assert "calibrate on at least 2.5 times as many labelled posts" in messages
    assert main([*arguments, "--max-error", "1.5"]) == 2
    assert "above 0 and below 1" in capsys.readouterr().err
    assert main([*arguments, "--coverage", "0.3"]) == 2
    assert "from 0.5 to 0.99" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--max-error", "0.1"], ["--coverage", "0.9"]])
def test_a_model_that_was_not_calibrated_says_so(model, capsys, options):
    assert main(["extract", "--model", str(model), "--text", "Anna", *options]) == 2
    assert "twofold calibrate MODEL DATA -o OUT" in capsys.readouterr().err
