"""``twofold calibrate`` for relations, alone and in a tagger's folder, and extraction with the result."""

from __future__ import annotations

import io
import json
import random
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import tiny_model

import twofold
from twofold.calibration.calibration import read_calibration
from twofold.cli.main import main
from twofold.model_folder.folder import write_manifest

TEXT = "Anna left NASA , paris"
ENTITIES = {"Anna": (0, 4, "PER"), "NASA": (10, 14, "ORG"), "paris": (17, 22, "LOC")}
MEMBER, LIVES, SEAT = "/per/org/member_of", "/per/loc/place_of_residence", "/org/loc/located_at"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder / "tagger")
    tiny_model.build_relations(folder / "relations")
    assert (
        main(["combine", str(folder / "tagger"), str(folder / "relations"), "-o", str(folder / "both")]) == 0
    )
    return folder


def argument(word: str, typed: bool) -> dict:
    start, stop, kind = ENTITIES[word]
    return {"start": start, "end": stop} | ({"type": kind} if typed else {})


def write(path: Path, *, entities: bool, backwards: bool = False) -> Path:
    """Posts in which Anna is a member in 3 of 4, lives in paris in half, and NASA is always in paris.

    Texts differ by words that the tiny model does not use; ``backwards`` swaps head and tail of pairs without
    a relation.
    """
    rng, other, lines = random.Random(0), random.Random(1), []
    for number in range(200):
        lives = LIVES if other.random() < 0.5 else "None"
        kinds = [MEMBER if rng.random() < 0.75 else "None", lives, SEAT]
        pairs = [("Anna", "NASA"), ("Anna", "paris"), ("NASA", "paris")]
        relations = [
            {"head": argument(a, entities), "tail": argument(b, entities), "type": kind}
            for kind, pair in zip(kinds, pairs, strict=True)
            for a, b in [pair[::-1] if backwards and kind == "None" else pair]
        ]
        text = f"{TEXT} , {'x' * (number % 9)} {number + 1}".replace("0", "o")  # a 0 means no relation
        record: dict = {"id": number, "text": text, "relations": relations}
        if entities:
            record["entities"] = [argument(word, True) for word in ENTITIES]
        lines.append(json.dumps(record))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Posts with relations and without entities, as in MNRE."""
    return write(tmp_path_factory.mktemp("data") / "pairs.jsonl", entities=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "whole.jsonl", entities=True)


@pytest.fixture(scope="module")
def calibrated(place, whole):
    out = place / "mine"
    assert main(["calibrate", str(place / "both"), str(whole), "-o", str(out), "--method", "types"]) == 0
    return out


def calibrated_on(data: Path, place: Path, out: Path) -> tuple[Path, str]:
    """The folder that calibration of both models wrote, and its output."""
    output = io.StringIO()
    with redirect_stdout(output):
        assert main(["calibrate", str(place / "both"), str(data), "-o", str(out)]) == 0
    return out, output.getvalue()


@pytest.fixture(scope="module")
def by_pairs(place, pairs, tmp_path_factory):
    return calibrated_on(pairs, place, tmp_path_factory.mktemp("by-pairs") / "out")


@pytest.fixture(scope="module")
def by_entities(place, tmp_path_factory):
    """The same for posts with entities only."""
    folder = tmp_path_factory.mktemp("by-entities")
    gold = [argument(word, True) for word in ENTITIES]
    lines = [json.dumps({"id": i, "text": TEXT, "entities": gold}) for i in range(80)]
    (folder / "tags.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return calibrated_on(folder / "tags.jsonl", place, folder / "out")


def confidences(folder: Path) -> dict[str, float]:
    (extraction,) = twofold.load(folder).extract([{"id": 1, "text": TEXT}])
    return {relation.type: relation.confidence for relation in extraction.relations}


def test_confidences_become_those_of_the_data(place, calibrated):
    before, after = confidences(place / "both"), confidences(calibrated)
    assert set(before) == {MEMBER, LIVES, SEAT}
    assert after == pytest.approx({MEMBER: 0.75, LIVES: 0.5, SEAT: 1.0}, abs=0.1)
    assert before != pytest.approx(after, abs=0.1)


def test_calibration_is_kept_where_there_are_no_gold_labels(place, pairs, by_pairs):
    out, shown = by_pairs
    assert "entities: calibration unchanged" in shown
    assert "end to end, on the" in shown
    old, new = ((folder / "calibration.json").read_bytes() for folder in (place / "both", out))
    assert old == new
    inner = json.loads((out / "relations" / "calibration.json").read_text(encoding="utf-8"))
    assert inner["report"]["predictions"] == {split: 3 * n for split, n in inner["report"]["posts"].items()}
    assert (
        inner["end_to_end"]["predicted"]
        == inner["end_to_end"]["annotated"]
        == 3 * inner["end_to_end"]["posts"]
    )
    assert inner["conformal"]["classes"] == list(tiny_model.RELATIONS)
    page = (out / "relations" / "README.md").read_text(encoding="utf-8")
    assert "288 predicted relations" in page
    assert "Between the entities that the tagger predicts" in page
    assert str(place) not in page
    assert str(pairs.parent) not in page
    assert twofold.load(out).relations  # both manifests are valid


def test_posts_with_entities_only_calibrate_entities_only(by_entities):
    out, output = by_entities
    assert "relations: calibration unchanged" in output
    assert read_calibration(out / "calibration.json").risk_curve is not None
    assert read_calibration(out / "relations" / "calibration.json").risk_curve is None


def test_the_argument_order_of_gold_pairs_has_no_effect(place, by_pairs, tmp_path):
    backwards = write(tmp_path / "backwards.jsonl", entities=False, backwards=True)
    folders = (by_pairs[0], calibrated_on(backwards, place, tmp_path / "other")[0])
    one, other = (read_calibration(out / "relations" / "calibration.json") for out in folders)
    assert one.temperature == pytest.approx(other.temperature, rel=1e-5)


def test_a_relation_model_alone(place, whole, pairs, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["calibrate", str(place / "relations"), str(whole), "-o", str(out)]) == 0
    assert "end to end" not in capsys.readouterr().out  # it predicts no entities
    arguments = ["extract", str(whole), "--model", str(out), "-o", str(tmp_path / "out.jsonl")]
    assert main([*arguments, "--max-error", "0.55", "--coverage", "0.9"]) == 0
    record = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert {"review", "candidates"} <= set(record["relations"][0])
    assert "review" not in record["entities"][0]  # it is given by the post
    assert "relations with a confidence of at least" in capsys.readouterr().err


def extract(model, capsys, *options):
    assert main(["extract", "--model", str(model), "--text", TEXT, *options]) == 0
    shown = capsys.readouterr()
    return {relation["type"]: relation for relation in json.loads(shown.out)["relations"]}, shown.err


def test_uncertain_relations_are_marked_for_review(calibrated, capsys):
    found, messages = extract(calibrated, capsys, "--max-error", "0.1")
    assert {kind: relation["review"] for kind, relation in found.items()} == {
        MEMBER: True, LIVES: True, SEAT: False,
    }  # fmt: skip
    assert "relations with a confidence of at least" in messages
    assert (
        "on posts like these and between entities that are right, at most 10.0% of them are wrong" in messages
    )
    found, _ = extract(calibrated, capsys, "--max-error", "0.1", "--max-relation-error", "0.2")
    assert [found[kind]["review"] for kind in (MEMBER, LIVES, SEAT)] == [False, True, False]


def test_an_error_rate_for_relations_only(calibrated, capsys):
    assert main(
        ["extract", "--model", str(calibrated), "--text", TEXT, "--max-relation-error", "0.1"]
    ) == 0  # fmt: skip
    record = json.loads(capsys.readouterr().out)
    assert all("review" in relation for relation in record["relations"])
    assert not any("review" in entity for entity in record["entities"])


def test_prediction_sets_grow_with_uncertainty(calibrated, capsys):
    found, _ = extract(calibrated, capsys, "--coverage", "0.9")
    assert found[SEAT]["candidates"] == [SEAT]
    assert set(found[LIVES]["candidates"]) == {LIVES, "None"}
    found, _ = extract(calibrated, capsys)
    assert "candidates" not in found[SEAT]


def test_lines_fit_the_schema(calibrated, whole, tmp_path, capsys):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    schema = json.loads(
        (Path(twofold.__file__).parent / "schemas" / "extraction.schema.json").read_text(encoding="utf-8")
    )
    options = ["--max-error", "0.2", "--coverage", "0.9", "-o", str(tmp_path / "out.jsonl")]
    assert main(["extract", str(whole), "--model", str(calibrated), *options]) == 0
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[0])
    jsonschema.validate(record, schema)
    assert "candidates" in record["relations"][0]
    assert "600 relations, " in capsys.readouterr().err


def test_all_relations_are_for_review_if_only_entities_can_be_guaranteed(calibrated, tmp_path, capsys):
    model = shutil.copytree(calibrated, tmp_path / "model")
    file = model / "relations" / "calibration.json"
    fitted = json.loads(file.read_text(encoding="utf-8"))
    curve = fitted["risk_curve"]
    curve |= {"errors": curve["accepted"], "tuning_errors": curve["tuning_accepted"]}
    file.write_text(json.dumps(fitted), encoding="utf-8")
    write_manifest(model / "relations")
    write_manifest(model)
    found, messages = extract(model, capsys, "--max-error", "0.2")
    assert found
    assert all(relation["review"] for relation in found.values())
    assert (
        "all relations are marked for review: no confidence threshold guarantees that at most 20.0%"
        in messages
    )
    assert "entities with a confidence of at least" in messages
    assert main(["extract", "--model", str(model), "--text", TEXT, "--max-relation-error", "0.2"]) == 2


def test_an_error_rate_that_cannot_be_guaranteed_is_refused_with_reasons(calibrated, capsys):
    arguments = ["extract", "--model", str(calibrated), "--text", TEXT]
    assert main([*arguments, "--max-error", "0.2", "--max-relation-error", "0.001"]) == 2
    messages = capsys.readouterr().err
    assert "relations that can be tested, and the calibration posts have" in messages
    assert "of the relations" in messages
    assert "--max-relation-error" in messages


@pytest.mark.parametrize("options", [["--max-relation-error", "0.1"], ["--coverage", "0.9"]])
def test_relations_that_were_not_calibrated(by_entities, capsys, options):
    out, _ = by_entities
    assert main(["extract", "--model", str(out), "--text", TEXT, *options]) == 2
    messages = capsys.readouterr().err
    assert "for relations" in messages
    assert "--no-relations" in messages
    if options[0] == "--coverage":
        assert main(["extract", "--model", str(out), "--text", TEXT, "--no-relations", *options]) == 0


def test_a_tagger_has_no_error_rate_for_relations(place, capsys):
    arguments = ["extract", "--model", str(place / "tagger"), "--text", TEXT, "--max-relation-error", "0.1"]
    assert main(arguments) == 2
    assert "the model knows no relations" in capsys.readouterr().err


def test_two_folders_must_be_combined_first(place, pairs, tmp_path, capsys):
    arguments = ["calibrate", str(place / "tagger"), str(pairs), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--relation-model", str(place / "relations")]) == 2
    assert "twofold combine" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_posts_without_gold_labels_for_the_model(place, tmp_path, capsys):
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "Anna", "entities": []}', encoding="utf-8")
    arguments = ["calibrate", str(place / "relations"), str(tmp_path / "posts.jsonl")]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert "no labelled post; expected posts with gold relations" in capsys.readouterr().err
