"""A calibrated copy of a model folder: what changes in it, and what stays."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import tiny_model

from twofold.calibration.calibrate import CalibrationReport, SplitCounts
from twofold.calibration.calibration import Calibration
from twofold.calibration.fit import CalibrationFit
from twofold.calibration.write import card_record, write_calibrated_copy, write_calibration
from twofold.conventions import Convention, Conventions
from twofold.crf import DecisionRule
from twofold.errors import ModelError
from twofold.model_folder.combine import combine
from twofold.model_folder.folder import open_folder, write_manifest

NOTE = {"method": "temperature", "fitted_on": ["ä.txt"], "note": "few"}
PLAIN = CalibrationFit(Calibration(1.5), NOTE | {"by_data_set": {"ä.txt": {}}})
RULED = CalibrationFit(Calibration(2.5, {"PER": 1.2}, decision_rule=DecisionRule(0.4, 1.3)), NOTE)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return open_folder(tiny_model.build(tmp_path_factory.mktemp("models") / "tagger"))


@pytest.fixture(scope="module")
def both(tagger, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    relations = tiny_model.build_relations(models / "relations")
    combine(tagger.path, relations, models / "both")
    return open_folder(models / "both")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_calibration_card_page_and_name_of_a_copy(tagger, tmp_path):
    out = tmp_path / "copy"
    write_calibrated_copy(tagger, out, {"entities": PLAIN})
    copy = open_folder(out)
    assert (copy.config.name, copy.temperature, copy.config.conventions) == (
        "copy", 1.5, tagger.config.conventions
    )  # fmt: skip
    assert read(out / "calibration.json") == {"temperature": 1.5} | NOTE
    assert read(out / "card.json") == {
        "name": "copy",
        "task": "entities",
        "calibration": {"temperature": 1.5, **PLAIN.description},
        "calibration_summary": {"temperature": 1.5},
        "calibrated_from": {"name": "tiny", "manifest_sha256": tagger.manifest_sha256},
    }
    page = (out / "README.md").read_text(encoding="utf-8")
    origin = f"Calibrated copy of `tiny` (manifest SHA-256 {tagger.manifest_sha256[:16]}…)."
    assert page.startswith(f"# copy\n\n{origin}\n\n## Calibration\n\nOne temperature, 1.500.")
    changed = {"calibration.json", "config.json", "card.json", "README.md", "manifest.json"}
    for path in tagger.path.iterdir():
        if path.name not in changed:
            assert (out / path.name).read_bytes() == path.read_bytes()
    assert {path.name for path in out.iterdir()} == changed | {path.name for path in tagger.path.iterdir()}
    old, new = (json.loads((x / "config.json").read_text(encoding="utf-8")) for x in (tagger.path, out))
    assert new == old | {"name": "copy"}


def test_manual_edits_of_card_and_page_are_kept(tagger, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_calibrated_copy(tagger, first, {"entities": PLAIN}, "Erstes")
    card = read(first / "card.json")
    (first / "card.json").write_text(json.dumps(card | {"licence": "ours"}), encoding="utf-8")
    page = (first / "README.md").read_text(encoding="utf-8") + "\n## Notes\n\nÄußerst vorläufig.\n"
    (first / "README.md").write_text(page, encoding="utf-8")
    write_manifest(first)
    write_calibrated_copy(open_folder(first), second, {"entities": RULED}, "Ünlü")
    card = read(second / "card.json")
    assert (card["licence"], card["name"]) == ("ours", "Ünlü")
    assert card["calibrated_from"]["name"] == "Erstes"
    page = (second / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# Ünlü\n\nCalibrated copy of `Erstes` ")
    assert page.endswith("## Notes\n\nÄußerst vorläufig.\n")
    assert page.count("## Calibration") == page.count("Calibrated copy of") == 1
    for name in ("card.json", "README.md", "config.json", "calibration.json"):
        content = (second / name).read_bytes()
        assert content.endswith(b"\n")
        assert b"\r" not in content
        assert b"\\u" not in content  # letters are written as they are
    assert (second / "card.json").read_text(encoding="utf-8").startswith('{\n "name": ')
    assert (second / "calibration.json").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_each_task_has_its_own_calibration(both, task, tmp_path):
    out = tmp_path / "out"
    write_calibrated_copy(both, out, {task: PLAIN})
    copy = open_folder(out)
    temperatures = {"entities": copy.temperature, "relations": copy.relations.temperature}
    other = {"entities": both.temperature, "relations": both.relations.temperature}
    assert temperatures == other | {task: 1.5}
    assert copy.config.name == "out"
    assert copy.relations.config.name == both.relations.config.name
    of_task = out if task == "entities" else out / "relations"
    assert read(of_task / "card.json")["calibration"]["note"] == "few"
    assert read(of_task / "card.json")["task"] == task


def test_both_tasks_and_a_model_replaced_by_its_copy(both, tmp_path):
    out = tmp_path / "out"
    for fits in ({"entities": PLAIN, "relations": RULED}, {"entities": RULED}):
        write_calibrated_copy(open_folder(out) if out.exists() else both, out, fits)
    copy = open_folder(out)
    assert (copy.temperature, copy.decision_rule) == (2.5, DecisionRule(0.4, 1.3))
    assert (copy.relations.temperature, copy.relations.decision_rule) == (2.5, DecisionRule(0.4, 1.3))


def test_a_default_convention_of_the_copy(tagger, tmp_path):
    out, chosen = tmp_path / "out", Convention("none", "mark")
    known = Conventions({"x": Convention("name", "none", "x")})
    model = replace(tagger, config=replace(tagger.config, conventions=known))
    write_calibrated_copy(model, out, {"entities": PLAIN}, convention=chosen)
    assert open_folder(out).config.conventions == replace(known, default=chosen)
    recorded = read(out / "config.json")["conventions"]
    assert recorded == read(out / "card.json")["conventions"] == replace(known, default=chosen).to_json()
    assert read(out / "config.json")["name"] == read(out / "card.json")["name"] == "out"


def test_a_folder_that_is_not_a_model_is_not_replaced(tagger, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ModelError):
        write_calibrated_copy(tagger, tmp_path / "out", {"entities": PLAIN})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_the_card_record_of_a_fit():
    assert card_record(RULED) == {
        "calibration": {
            "temperature": 2.5,
            "temperature_by_type": {"PER": 1.2},
            "decision_rule": {"threshold": 0.4, "temperature": 1.3},
            **NOTE,
        },
        "calibration_summary": {"temperature": 2.5},
    }
    before = {"accuracy": 0.8, "nll": 0.5, "ece": 0.1, "brier": 0.2}
    after = {"accuracy": 0.8, "nll": 0.4, "ece": 0.05, "brier": 0.19}
    report = CalibrationReport(SplitCounts(3, 4), SplitCounts(50, 60), before, after, 0.02, (), {})
    summary = card_record(CalibrationFit(Calibration(1.5), NOTE, report))["calibration_summary"]
    assert summary == {
        "temperature": 1.5, "predictions": 60, "accuracy": 0.8, "nll_before": 0.5, "nll_after": 0.4,
        "ece_before": 0.1, "ece_after": 0.05,
    }  # fmt: skip
    of_training = NOTE | {"predictions": 70, "accuracy": 0.7, "nll_before": 1.0, "other": 3}
    summary = card_record(CalibrationFit(Calibration(1.5), of_training))["calibration_summary"]
    assert summary == {"temperature": 1.5, "predictions": 70, "accuracy": 0.7, "nll_before": 1.0}


def test_metrics_by_data_set_are_not_in_the_file(tmp_path):
    write_calibration(tmp_path, CalibrationFit(Calibration(1.5), NOTE | {"by_data_set": {"ä.txt": 1}}))
    assert read(tmp_path / "calibration.json") == {"temperature": 1.5} | NOTE
