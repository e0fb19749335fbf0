"""What a published model folder records of the training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_model

pytest.importorskip("torch")

from twofold.config import Config, DataConfig, ModelConfig, MultigranularConfig, RelationsConfig, to_toml
from twofold.model_folder.folder import open_folder
from twofold.training.datasets import Corpus, read_corpora
from twofold.training.publish import TrainingRecord, _copy_shared_graphs, _without_paths


def published(model: ModelConfig, folder: Path) -> Config:
    data = DataConfig(
        (f"{folder}/train.txt",), (f"{folder}/dev.txt",), f"{folder}/pictures", f"{folder}/alt.tsv"
    )
    corpora = [Corpus(f"data/{name}.txt", [], [], "", "") for name in ("train", "dev")]
    record = TrainingRecord(Config(data, model), corpora[:1], corpora[1:], [], [], {})
    return _without_paths(record)


def test_no_path_of_this_machine_is_published(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    model = ModelConfig(
        text_encoder=f"{tmp_path}/bert",
        image_encoder=f"{tmp_path}/gone/vit/",
        multigranular=MultigranularConfig(augmentation=f"{tmp_path}/vectors.txt"),
        relations=RelationsConfig(tagger=f"{tmp_path}/tagger"),
    )
    config = published(model, tmp_path)
    assert str(tmp_path) not in to_toml(config)
    assert (config.model.text_encoder, config.model.image_encoder) == ("bert", "vit")
    assert config.model.relations.tagger == "tagger"


def test_relative_folders_are_shortened_and_other_names_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "private" / "bert").mkdir(parents=True)
    assert published(ModelConfig(text_encoder="private/bert"), tmp_path).model.text_encoder == "bert"
    for model in (
        ModelConfig(),
        ModelConfig(text_encoder="google/bert", image_encoder="google/vit"),
        ModelConfig(relations=dataclasses.replace(RelationsConfig(), tagger="")),
    ):
        assert published(model, tmp_path).model == model


def test_a_data_file_is_named_by_itself_and_its_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for path in (tmp_path / "train.txt", tmp_path / "data" / "train.txt"):
        path.write_text("Ada B-PER\n\n", encoding="utf-8")
    corpora = read_corpora(
        ["train.txt", "data/train.txt", str(tmp_path / "data" / "train.txt")], DataConfig()
    )
    assert [corpus.name for corpus in corpora] == ["train.txt", "data/train.txt", "data/train.txt"]


@pytest.mark.parametrize(
    ("recorded", "crop", "expected"),
    [("eye", 0, ["text", "picture"]), ("other", 0, ["text"]), ("eye", 1, ["text"]), (None, 0, ["text"])],
)
def test_graphs_of_the_taggers_encoders_are_copied(
    tmp_path: Path, recorded: str | None, crop: int, expected: list[str]
) -> None:
    tagger = open_folder(tiny_model.build(tmp_path / "tagger"))
    assert tagger.config.picture is not None
    settings = tagger.config.picture.settings
    image = SimpleNamespace(settings=dataclasses.replace(settings, crop=settings.crop + crop))
    if recorded:
        tagger.file("training.toml").write_text(f'[model]\nimage_encoder = "{recorded}"\n', encoding="utf-8")
    (tmp_path / "part").mkdir()
    config = Config(DataConfig(), ModelConfig(image_encoder="eye"))
    found = _copy_shared_graphs(SimpleNamespace(folder=tagger), image, config, tmp_path / "part")
    assert found == expected
    assert {path.name for path in (tmp_path / "part").iterdir()} == {f"{name}.onnx" for name in expected}
    for name in expected:
        graph = f"{name}.onnx"
        assert (tmp_path / "part" / graph).read_bytes() == tagger.file(graph).read_bytes()
