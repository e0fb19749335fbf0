"""What a published model folder tells of the training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("torch")

from twofold.config import Config, DataConfig, ModelConfig, MultigranularConfig, RelationsConfig, to_toml
from twofold.training import publish
from twofold.training.datasets import Corpus, read_corpora
from twofold.training.publish import TrainingRecord, _without_paths


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
    ("weights", "with_rows", "arithmetic", "change"),
    [("8bit", 84.9, "8bit", -0.1), ("8bit", 84.0, "float32", -0.05), ("8bit_weights", 0.0, "float32", -0.05)],
)
def test_arithmetic_is_chosen_by_what_it_costs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
    with_rows: float,
    arithmetic: str,
    change: float,
) -> None:
    """Graphs are stand-ins whose content says how they were made; 85 is F1 in full precision."""
    f1 = {b"whole": 85.0, b"rows": with_rows, b"weights": 84.95}

    def quantise(source: Path, target: Path, arithmetic: bool = False) -> None:
        target.write_bytes(b"rows" if arithmetic else b"weights")

    def measure() -> dict[str, object]:
        return {"dev": {"dev.txt": {"lenient": {"all": {"f1": f1[(tmp_path / "text.onnx").read_bytes()]}}}}}

    monkeypatch.setattr(publish, "quantise_graph", quantise)
    (tmp_path / "text.onnx").write_bytes(b"whole")
    lines: list[str] = []
    told, measured, full = publish._measured(tmp_path, weights, measure, lines.append)
    assert told == {"arithmetic": arithmetic, "f1_change": change}
    assert publish.mean_f1(full["dev"]) == 85
    assert publish.mean_f1(measured["dev"]) == pytest.approx(85 + change)
    assert len(lines) == 1 + (weights == "8bit" and arithmetic == "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["text.onnx"]
