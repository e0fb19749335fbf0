"""A tagger and a relation model in one folder: nothing is stored twice, and every alteration is found."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_model

from twofold.errors import DataError, ModelError
from twofold.model_folder.combine import combine
from twofold.model_folder.folder import FORMAT, MANIFEST, open_folder, write_manifest
from twofold.preprocessing.semantic_augmentation import FILES


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return tiny_model.build(place / "tagger"), tiny_model.build_relations(place / "relations")


@pytest.fixture
def whole(parts, tmp_path):
    combine(*parts, tmp_path / "whole")
    return tmp_path / "whole"


def change(folder, **values):
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(raw | values), encoding="utf-8")


def test_the_combined_folder_opens_as_its_parts_do(parts, whole):
    tagger, relations = map(open_folder, parts)
    both = open_folder(whole)
    assert both.config == tagger.config
    assert both.relations.temperature == relations.temperature
    assert both.relations.config.relation == relations.config.relation
    for name in set(relations.hashes) - {"config.json"}:
        assert both.relations.hashes[name] == relations.hashes[name]
        assert both.relations.file(name).read_bytes() == (parts[1] / name).read_bytes()


def test_identical_files_are_stored_once(whole):
    assert {file.name for file in (whole / "relations").iterdir()} == {
        "config.json", "calibration.json", "fusion.onnx", MANIFEST,
    }  # fmt: skip
    assert open_folder(whole).relations.config.shared_files == ("text.onnx", "picture.onnx", "tokenizer.json")
    assert json.loads((whole / "config.json").read_text(encoding="utf-8"))["format"] == FORMAT


def test_identical_neighbours_are_stored_once(parts, tmp_path):
    copies = [shutil.copytree(part, tmp_path / part.name) for part in parts]
    for folder in copies:
        for name in FILES:
            (folder / name).write_bytes(b"the same")
        write_manifest(folder)
    combine(*copies, tmp_path / "whole")
    inner = open_folder(tmp_path / "whole").relations
    assert set(FILES) < set(inner.config.shared_files)
    assert all(inner.file(name).read_bytes() == b"the same" for name in FILES)


def test_different_files_are_stored_twice(parts, tmp_path):
    text_tagger = tiny_model.build(tmp_path / "text_tagger", sources=("text",), evidence=False)
    both = combine(text_tagger, parts[1], tmp_path / "whole")
    assert both.relations.config.shared_files == ("text.onnx", "tokenizer.json")
    assert (tmp_path / "whole" / "relations" / "picture.onnx").is_file()


def test_models_with_nothing_in_common(parts, tmp_path):
    other = shutil.copytree(parts[1], tmp_path / "other")
    for name in ("text.onnx", "picture.onnx", "tokenizer.json"):
        with (other / name).open("ab") as stream:
            stream.write(b"\n")
    write_manifest(other)
    both = combine(parts[0], other, tmp_path / "whole")
    assert both.relations.config.shared_files == ()
    assert both.relations.hashes["text.onnx"] != both.hashes["text.onnx"]


def test_a_model_is_combined_again_in_its_own_folder(parts, whole):
    before = sorted(file.relative_to(whole) for file in whole.rglob("*"))
    combine(whole, parts[1], whole)
    assert sorted(file.relative_to(whole) for file in whole.rglob("*")) == before
    assert open_folder(whole).relations is not None


def test_interrupted_writing_leaves_nothing(parts, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twofold.model_folder.combine.shutil.copyfile", full)
    with pytest.raises(DataError, match="No space"):
        combine(*parts, tmp_path / "whole")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "calibration.json", "fusion.onnx", MANIFEST])
def test_an_altered_part_is_found(whole, name):
    content = bytearray((whole / "relations" / name).read_bytes())
    content[-3] ^= 1
    (whole / "relations" / name).write_bytes(content)
    with pytest.raises(ModelError, match="was altered"):
        open_folder(whole)


def test_a_part_with_a_new_manifest_is_found_by_the_outer_manifest(whole):
    (whole / "relations" / "calibration.json").write_text('{"temperature": 9.0}', encoding="utf-8")
    write_manifest(whole / "relations")
    with pytest.raises(ModelError, match=r"relations/manifest\.json: the file was altered"):
        open_folder(whole)
    write_manifest(whole)
    assert open_folder(whole).relations.temperature == 9.0


@pytest.mark.parametrize("name", ["fusion.onnx", MANIFEST])
def test_a_missing_part_is_found(whole, name):
    (whole / "relations" / name).unlink()
    with pytest.raises(ModelError, match=f"lacks .*{name}"):
        open_folder(whole)


def test_a_part_put_into_another_tagger_is_found(parts, whole, tmp_path):
    other = shutil.copytree(parts[0], tmp_path / "other")
    with (other / "text.onnx").open("ab") as stream:
        stream.write(b"\n")
    shutil.copytree(whole / "relations", other / "relations")
    write_manifest(other)
    with pytest.raises(ModelError, match=r"combined with a tagger that had another text\.onnx"):
        open_folder(other)


def test_a_part_by_itself_is_not_a_model(whole):
    with pytest.raises(ModelError, match=r"shares \S+ with its parent folder; use .*whole"):
        open_folder(whole / "relations")


def test_a_tagger_in_a_tagger(parts, tmp_path):
    folder = shutil.copytree(parts[0], tmp_path / "model")
    shutil.copytree(parts[0], folder / "relations")
    write_manifest(folder)
    with pytest.raises(ModelError, match="a model for entities is inside one for entities"):
        open_folder(folder)


def test_shared_files_must_be_in_the_manifest(whole):
    part = whole / "relations"
    manifest = json.loads((part / MANIFEST).read_text(encoding="utf-8"))
    del manifest["files"]["text.onnx"]
    (part / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    write_manifest(whole)
    with pytest.raises(ModelError, match=r"relations: the model folder lacks text\.onnx"):
        open_folder(whole)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "summaries"}, "the model is for the task 'summaries'"),
        ({"labels": ["/per/org/member_of"]}, "'None' among them"),
        ({"labels": ["None", "None"]}, "distinct labels"),
        ({"labels": "None"}, "labels"),
        ({"argument_types": None}, "argument_types is missing"),
        ({"argument_types": {"/per/pet/owner_of": [["PER", "PET"]]}}, "name /per/pet/owner_of"),
        ({"argument_types": {"/per/per/peer": [["PER"]]}}, r"hold \['PER'\]; expected a type of the head"),
        ({"argument_types": {"/per/per/peer": "PER"}}, "argument_types of /per/per/peer are 'PER'"),
        ({"argument_types": {"/per/per/peer": [["PER", 3]]}}, "hold"),
        ({"markers": None}, "markers are None"),
        ({"markers": {"style": "loud"}}, "expected markers of style"),
        ({"shared_files": "text.onnx"}, "shared_files"),
    ],
)
def test_an_invalid_relation_model(parts, tmp_path, values, message):
    folder = shutil.copytree(parts[1], tmp_path / "model")
    change(folder, **values)
    write_manifest(folder)
    with pytest.raises(ModelError, match=message):
        open_folder(folder)


def test_writing_a_manifest_names_a_shared_file_that_is_missing(whole):
    path = whole / "relations" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(config | {"shared_files": ["text.onnx", "gone.onnx"]}), "utf-8")
    with pytest.raises(ModelError, match=r"shared files gone\.onnx, which the parent folder lacks"):
        write_manifest(whole / "relations")
