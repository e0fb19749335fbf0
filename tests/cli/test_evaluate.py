"""``twofold evaluate``: scores of a case computed by hand, and the report of the data."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_model
from PIL import Image

from twofold.cli.main import main
from twofold.model_folder.folder import write_manifest

RESULT = (
    b'{"id": 2, "text": "Bob", "entities": [], "picture": {"status": "none", "reason": ""}, "model": "m"}'
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def data(tmp_path):
    """Gold: Anna, NASA (begins with I-), Bob, paris, and sea, of a type that the model does not know."""
    text = (
        "IMGID:1\nAnna\tB-PER\nleft\tO\nNASA\tI-ORG\n\n"
        "IMGID:2\nBob\tB-LOC\nat\tO\nparis\tB-LOC\n\n"
        "IMGID:3\nthe\tO\nsea\tB-WATER\n\n"
        "IMGID:4\nParis\tO\n\n"
    )
    (tmp_path / "posts.txt").write_text(text, encoding="utf-8")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "1.jpg")
    (tmp_path / "photos" / "2.jpg").write_bytes(b"")
    return tmp_path / "posts.txt"


def test_scores_computed_by_hand(model, data, capsys):
    # Predicted: Anna PER (right), NASA ORG (right, in the lenient score), Bob PER (gold: LOC), paris LOC
    # (right), Paris LOC (gold: nothing).
    assert main(["evaluate", model, str(data)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == ["lenient P 60.00 R 60.00 F1 60.00", "strict P 40.00 R 50.00 F1 44.44"]
    rows = {line.split()[0]: line.split()[1:] for line in out if line[:5].split()}
    assert rows["ORG"] == ["100.00", "100.00", "100.00", "1", "1"]
    assert rows["WATER"] == ["0.00", "0.00", "0.00", "1", "0"]
    assert rows["pictures"] == ["0", "read,", "4", "none,", "0", "unreadable"]


def test_json_names_the_data(model, data, tmp_path, capsys):
    target = tmp_path / "saved.json"
    arguments = ["--images", str(data.parent / "photos"), "--json", str(target)]
    assert main(["evaluate", model, str(data), *arguments]) == 0
    saved = json.loads(target.read_text(encoding="utf-8"))
    assert saved["lenient"]["overall"]["f1"] == 0.6
    assert saved["strict"]["types"]["PER"] == {
        "precision": 0.5, "recall": 1.0, "f1": 0.666667, "correct": 1, "predicted": 2, "gold": 1,
    }  # fmt: skip
    assert saved["pictures"] == {"read": 1, "none": 0, "unreadable": 3}
    assert saved["data"]["release"] is None
    assert len(saved["data"]["md5"]) == 32
    assert saved["data"]["posts"] == 4
    assert 0 <= saved["calibration_error"] <= 1
    shown = capsys.readouterr()
    assert "no known release" in shown.out
    assert "posts.txt:6: picture unreadable: the picture is empty" in shown.err
    assert "does not know the types WATER" in shown.err


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_swapped_arguments_are_explained(data, tmp_path, capsys, command):
    more = ["-o", str(tmp_path / "out")] if command == "calibrate" else []
    assert main([command, str(data), "default", *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"twofold: {data}: not a folder; expected MODEL: a folder that `twofold train`")
    assert "give MODEL first, then DATA" in error


def test_alt_texts_from_a_file(model, data, tmp_path, capsys):
    (tmp_path / "alt.tsv").write_text("image\tcaption\n1.jpg\ta rocket\n", encoding="utf-8")
    scores = []
    for more in ([], ["--alt-text-file", str(tmp_path / "alt.tsv")]):
        assert main(["evaluate", model, str(data), "--json", "-", *more]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0]["calibration_error"] != scores[1]["calibration_error"]  # evidence of the alt text


def test_rejected_and_unlabelled_posts_are_counted_separately(model, tmp_path, capsys):
    lines = ['{"id": 1, "text": "Anna", "entities": []}', "no", '{"id": 2, "text": "Bob"}']
    (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert main(["evaluate", model, str(tmp_path / "posts.jsonl")]) == 1
    shown = capsys.readouterr()
    assert "1 labelled, 1 rejected, 1 without labels" in shown.out
    assert "1 post carries no labels and was not counted" in shown.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": 2, "text": "Bob"}\n', "no labelled post"),
        (b"", "no labelled post"),
        (b"what?", "format"),
        (
            RESULT,
            "posts: is a result of `twofold extract`, not labels; expected posts with gold entities; exp",
        ),
    ],
)
def test_nothing_to_score(model, tmp_path, capsys, content, message):
    (tmp_path / "posts").write_bytes(content)
    assert main(["evaluate", model, str(tmp_path / "posts"), "--json", str(tmp_path / "x.json")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("arguments", [["gone", "posts.txt"], ["MODEL", "gone.txt"]])
def test_mistakes(model, data, capsys, monkeypatch, arguments):
    monkeypatch.chdir(data.parent)
    assert main(["evaluate", *(model if a == "MODEL" else a for a in arguments)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_known_release_is_named(model, shared, capsys):
    assert main(["evaluate", model, str(shared / "data" / "twitter2017" / "valid.txt")]) == 0
    out = capsys.readouterr().out
    assert "Twitter-2017 valid" in out
    assert "723 labelled" in out


def test_without_predictions_there_is_no_calibration_error(model, tmp_path, capsys):
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "the sea", "entities": []}\n', encoding="utf-8")
    assert main(["evaluate", model, str(tmp_path / "posts.jsonl"), "--json", str(tmp_path / "x.json")]) == 0
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["calibration_error"] is None
    assert "no entity was predicted" in capsys.readouterr().out


def test_trust_on_standard_output_and_in_json(model, data, tmp_path, capsys):
    target = tmp_path / "saved.json"
    assert main(["evaluate", model, str(data), "--trust", "--json", str(target)]) == 0
    trust = json.loads(target.read_text(encoding="utf-8"))["trust"]["entities"]
    # As above: three right, Bob with the wrong type, Paris spurious; Bob LOC and sea missed.
    assert trust["error_types"] == {"right": 3, "spurious": 1, "wrong_type": 1}
    assert trust["calibration"]["all"]["missed"] == 2
    assert trust["calibration"]["WATER"]["metrics"]["ece"]["value"] is None
    assert (
        list(trust["error_detection"])
        == list(trust["error_auroc"])
        == ["confidence", "aleatoric", "epistemic", "total"]
    )
    assert trust["modalities"]["text"] == {"predictions": 5, "share": 1, "share_right": 1, "share_wrong": 1}
    out = capsys.readouterr().out
    assert "3 right, 1 spurious, 1 wrong type; 2 gold entities missed" in out
    assert out.splitlines()[-2].startswith("lenient P 60.00")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert f"{100 * trust['error_detection']['total']['all']['auroc']:.1f}" in rows["total"]


def test_trust_before_and_after_calibration(model, data, tmp_path, capsys):
    # The uncalibrated confidences are those of the same model with a temperature of 1.
    plain = shutil.copytree(model, tmp_path / "plain")
    (plain / "calibration.json").write_text('{"temperature": 1.0}', encoding="utf-8")
    write_manifest(plain)
    reports = {}
    for name, folder in (("tiny", model), ("plain", plain)):
        target = tmp_path / f"{name}.json"
        assert main(["evaluate", str(folder), str(data), "--trust", "--json", str(target)]) == 0
        reports[name] = json.loads(target.read_text(encoding="utf-8"))["trust"]["entities"]
    assert reports["tiny"]["uncalibrated"] == reports["plain"]["uncalibrated"]
    assert reports["tiny"]["uncalibrated"]["calibration"] == reports["plain"]["calibration"]
    assert reports["tiny"]["uncalibrated"]["reliability"] == reports["plain"]["reliability"]
    assert reports["tiny"]["calibration"] != reports["plain"]["calibration"]
    before, after = (x["all"]["metrics"]["ece"]["value"] for x in (
        reports["tiny"]["uncalibrated"]["calibration"], reports["tiny"]["calibration"],
    ))  # fmt: skip
    assert before != after
    assert f"{100 * before:.1f} >  {100 * after:.1f} [" in capsys.readouterr().out


def test_without_trust_there_is_no_trust_report(model, data, tmp_path, capsys):
    target = tmp_path / "saved.json"
    assert main(["evaluate", model, str(data), "--json", str(target)]) == 0
    assert "trust" not in json.loads(target.read_text(encoding="utf-8"))
    assert "AUROC" not in capsys.readouterr().out


def test_names_of_types_cannot_control_the_terminal(model, tmp_path, capsys):
    entity = '{"start": 0, "end": 4, "type": "X\\u001b[2J"}'
    (tmp_path / "posts.jsonl").write_text(f'{{"id": 1, "text": "Anna", "entities": [{entity}]}}\n')
    assert main(["evaluate", model, str(tmp_path / "posts.jsonl"), "--trust"]) == 0
    out, err = capsys.readouterr()
    assert "X\\x1b[2J" in out
    assert "\x1b" not in out + err


def test_spans_count_by_whole_tokens(model, tmp_path, capsys):
    (tmp_path / "posts.txt").write_text("IMGID:1\n#Anna\tB-PER\nleft\tO\nNASA's\tB-ORG\n\n", encoding="utf-8")
    assert main(["evaluate", model, str(tmp_path / "posts.txt")]) == 0
    assert "lenient P 100.00 R 100.00 F1 100.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("types", "score"),
    [
        ("WATER=", "lenient P 60.00 R 75.00 F1 66.67"),  # the sea is no longer missed
        ("LOC=PER", "lenient P 80.00 R 80.00 F1 80.00"),  # Bob is right
        ("LOC=", "lenient P 66.67 R 66.67 F1 66.67"),  # Bob is still predicted as PER
    ],
)
def test_types_are_mapped_or_dropped_in_gold_and_predictions(model, data, tmp_path, capsys, types, score):
    target = tmp_path / "saved.json"
    assert main(["evaluate", model, str(data), "--types", types, "--trust", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert score in out
    old, _, new = types.partition("=")
    assert f"types     {f'{old} as {new}' if new else f'no {old}'}" in out
    assert json.loads(target.read_text(encoding="utf-8"))["data"]["types"] == {old: new}


def test_an_unknown_type_in_the_mapping_is_named(model, data, capsys):
    assert main(["evaluate", model, str(data), "--types", "PER=person, ROG="]) == 0
    shown = capsys.readouterr()
    assert "neither the posts nor the model have: ROG" in shown.err
    assert "does not know the types WATER;" in shown.err


@pytest.mark.parametrize("types", ["MISC", "=PER", "PER=A,PER=B", ""])
def test_mistakes_in_types(model, data, capsys, types):
    with pytest.raises(SystemExit):
        main(["evaluate", model, str(data), "--types", types])
    assert "expected each type once as OLD=NEW" in capsys.readouterr().err
