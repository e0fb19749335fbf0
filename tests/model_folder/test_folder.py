"""Model folders: every way in which one can be invalid, and writing that is never visible half done."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny_model
from safetensors.numpy import save_file

from twofold.crf import DecisionRule
from twofold.errors import ModelError
from twofold.inference.onnx_sessions import Sessions
from twofold.model_folder.folder import FORMAT, MANIFEST, open_folder, publish, write_manifest


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "model")


def change(folder, name, /, **values):
    """Change keys of a JSON file and write the manifest again, as another writer would have."""
    raw = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(raw | values), encoding="utf-8")
    write_manifest(folder)


def test_a_whole_folder_opens(folder):
    model = open_folder(folder)
    assert model.config.name == "tiny"
    assert model.config.modalities == ("text", "picture", "alt_text")
    assert model.config.picture.settings.crop == 224
    assert model.temperature == 1.25
    assert model.decoder().types == ("LOC", "MISC", "ORG", "PER")
    assert set(model.hashes) == {file.name for file in folder.iterdir()} - {MANIFEST}


def test_a_missing_folder(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere: no such folder; expected a model folder; check the path"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ModelError, match="not a folder"):
        open_folder(tmp_path / "file")


def test_a_half_written_folder(folder):
    (folder / MANIFEST).unlink()
    with pytest.raises(ModelError, match=r"no manifest\.json.*interrupted.*get the folder again"):
        open_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "text.onnx", "picture.onnx", "decoder.safetensors"])
def test_a_file_that_is_gone(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}"):
        open_folder(folder)
    write_manifest(folder)  # even where the manifest agrees
    with pytest.raises(ModelError, match=r"lacks|No such file"):
        open_folder(folder)


def test_a_newer_format_is_reported_before_all_other_errors(folder):
    change(folder, "config.json", format=FORMAT + 1, twofold_version="9.0")
    (folder / "text.onnx").unlink()
    newer = rf"format {FORMAT + 1}, written by Twofold 9\.0.*install a newer Twofold"
    with pytest.raises(ModelError, match=newer):
        open_folder(folder)


@pytest.mark.parametrize("number", [1, 2, None])
def test_an_older_format_is_reported_before_all_other_errors(folder, number):
    change(folder, "config.json", format=number, twofold_version=None, twofold="0.1.0")
    (folder / "text.onnx").unlink()
    older = rf"has format {number}, .*expected format {FORMAT}; train and calibrate the model again"
    with pytest.raises(ModelError, match=older):
        open_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "text.onnx", "calibration.json", "tokenizer.json"])
def test_an_altered_file(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: the file was altered.*write_manifest\(folder\)"):
        open_folder(folder)


def test_a_truncated_file(folder):
    (folder / "text.onnx").write_bytes((folder / "text.onnx").read_bytes()[:-1])
    with pytest.raises(ModelError, match="altered"):
        open_folder(folder)


@pytest.mark.parametrize(
    "manifest",
    ["{", "[]", "{}", '{"files": {"a": 1}}', '{"files": {"../x": {"sha256": "", "bytes": 0}}}', "[" * 9999],
)
def test_an_invalid_manifest(folder, manifest):
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    with pytest.raises(ModelError):
        open_folder(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"labels": []}, {"labels": [1]}, {"text": {}}, {"modalities": ["text"]}, {"picture": None},
        {"picture": {"mean": []}}, {"name": None}, {"text": {"window_pieces": True}},
    ],
)  # fmt: skip
def test_an_invalid_configuration(folder, values):
    change(folder, "config.json", **values)
    with pytest.raises(ModelError, match=r"config\.json"):
        open_folder(folder)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/b", "..", ""])
def test_a_shared_file_is_in_the_parent_folder_or_is_refused(folder, name):
    (folder.parent / "x").write_text("x", encoding="utf-8")
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(ModelError, match="correct shared_files"):
        change(folder, "config.json", shared_files=[name])
    assert (folder / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("name", ["config.json", "calibration.json"])
def test_half_a_surrogate_pair_is_refused(folder, name):
    change(folder, name, name="\ud800")
    with pytest.raises(ModelError, match="half of a surrogate pair"):
        open_folder(folder)


@pytest.mark.parametrize("temperature", [0, -1, "warm", None, True, float("inf")])
def test_an_invalid_temperature(folder, temperature):
    change(folder, "calibration.json", temperature=temperature)
    with pytest.raises(ModelError, match="temperature"):
        open_folder(folder)


def test_the_decision_rule_is_stored_in_the_folder(folder):
    assert open_folder(folder).decoder().decision_rule is None
    change(folder, "calibration.json", decision_rule={"threshold": 0.4, "temperature": 1.3})
    assert open_folder(folder).decoder().decision_rule == DecisionRule(0.4, 1.3)


@pytest.mark.parametrize(
    "rule",
    [0.4, {}, {"threshold": 0.4}, {"threshold": 1, "temperature": 1}, {"threshold": 0.4, "temperature": 0}],
)
def test_invalid_decision_rules(folder, rule):
    change(folder, "calibration.json", decision_rule=rule)
    with pytest.raises(ModelError, match=r"calibration\.json"):
        open_folder(folder)


def test_a_decoder_that_does_not_fit(folder):
    save_file({"transitions": np.zeros((2, 2)), "start": np.zeros(2)}, folder / "decoder.safetensors")
    write_manifest(folder)
    with pytest.raises(ModelError, match="cannot be read"):
        open_folder(folder).decoder()
    tensors = {"transitions": np.zeros((2, 2)), "start": np.zeros(2), "end": np.zeros(2)}
    save_file(tensors, folder / "decoder.safetensors")
    write_manifest(folder)
    with pytest.raises(ModelError, match="do not fit the labels"):
        open_folder(folder).decoder()


def test_an_invalid_graph(folder):
    (folder / "text.onnx").write_bytes(b"not a graph")
    sessions = Sessions(folder)
    with pytest.raises(ModelError, match=r"text\.onnx: ONNX Runtime .* cannot open the graph"):
        sessions.text(np.ones((1, 2), np.int64), np.ones((1, 2), np.int64))


def test_publish_moves_a_folder_into_its_place(folder, tmp_path):
    final = tmp_path / "final"
    publish(folder, final)
    assert not folder.exists()
    assert open_folder(final).config.name == "tiny"


def test_publish_replaces_an_older_model_and_leaves_nothing_behind(folder, pristine, tmp_path):
    newer = shutil.copytree(pristine, tmp_path / "newer")
    change(newer, "config.json", name="newer")
    publish(newer, folder)
    assert open_folder(folder).config.name == "newer"
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_publish_does_not_touch_a_folder_that_is_not_a_model(folder, tmp_path):
    expected = open_folder(folder).hashes
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years", encoding="utf-8")
    with pytest.raises(ModelError, match="not a model folder; choose another folder"):
        publish(folder, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").exists()
    assert open_folder(folder).hashes == expected
    (tmp_path / "empty").mkdir()
    publish(folder, tmp_path / "empty")
    assert open_folder(tmp_path / "empty").hashes == expected


def change_picture(folder, **values):
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(folder, "config.json", picture=raw["picture"] | values)


def test_the_preparation_of_pictures_is_read(folder):
    before = open_folder(folder).picture_fingerprint
    change_picture(folder, fit="squeeze", resample="bilinear", max_crops=2)
    picture = open_folder(folder).config.picture
    assert (picture.settings.fit, picture.settings.resample, picture.max_crops) == ("squeeze", "bilinear", 2)
    assert open_folder(folder).picture_fingerprint != before


@pytest.mark.parametrize(
    ("key", "value"), [("fit", "stretch"), ("resample", "nearest"), ("max_crops", "many")]
)
def test_an_unknown_preparation_of_pictures(folder, key, value):
    change_picture(folder, **{key: value})
    with pytest.raises(ModelError, match=key):
        open_folder(folder)


@pytest.mark.parametrize("modality", ["picture", "whole", "crops"])
def test_a_modality_that_needs_a_picture_encoder_where_there_is_none(folder, modality):
    change(folder, "config.json", modalities=["text", modality], picture=None)
    with pytest.raises(ModelError, match="modalities and picture do not agree"):
        open_folder(folder)
