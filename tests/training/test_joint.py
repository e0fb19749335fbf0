"""Entities and relations trained together: one encoder, two heads, one folder."""
# ruff: noqa: E402

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import tiny_model
from safetensors.torch import save_file
from tiny_training import relation_line

import twofold
from twofold.config import Config, DataConfig, ModelConfig, RelationsConfig, to_toml
from twofold.errors import ConfigError, DataError
from twofold.model_folder.folder import open_folder
from twofold.models.joint import JointModel
from twofold.training import run
from twofold.training.checkpoint import average_with, load_initial_weights
from twofold.training.examples import allowed_by_entities, batches, collate
from twofold.training.joint import joint_data, relation_settings

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter warns about its own internals


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger that predicts argument types."""
    return tiny_model.build(tmp_path_factory.mktemp("tagger") / "model", sources=("text", "alt_text"))


@pytest.fixture
def joint(config: Config, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.jsonl").write_text("".join(map(relation_line, range(36))), encoding="utf-8")
    (tmp_path / "dev.jsonl").write_text("".join(map(relation_line, range(18))), encoding="utf-8")
    files = [(str(tmp_path / f"{name}.jsonl"),) for name in ("train", "dev")]
    options = RelationsConfig("levitated", tagger=str(tagger), layers=1)
    small = ModelConfig(task="relations", fusion="text_only", modalities=(), relations=options)
    pairs = Config(DataConfig(*files), small)
    (tmp_path / "relations.toml").write_text(to_toml(pairs), encoding="utf-8")
    model = dataclasses.replace(config.model, joint=str(tmp_path / "relations.toml"))
    training = dataclasses.replace(config.training, epochs=12)
    return dataclasses.replace(config, model=model, training=training)


def setups(config: Config) -> tuple[JointModel, run.TrainingData]:
    tagger = run.set_up_training(config, silent)
    pairs = run.set_up_training(relation_settings(config), silent, tagger.model.text)
    labels, conventions = tagger.model.head.labels, tagger.conventions
    data = joint_data(tagger.data, pairs.data, labels, conventions.vector(conventions.default))
    return JointModel(tagger.model, pairs.model), data


def test_each_batch_is_of_one_task_and_all_examples_occur(joint: Config) -> None:
    _, data = setups(joint)
    groups = list(batches(data.train, 5, 1, 0))
    assert all(len({example.slots is None for example in group}) == 1 for group in groups)
    seen = sorted(id(example) for group in groups for example in group)
    assert seen == sorted(map(id, data.train))


def test_gradients_of_a_task_reach_the_shared_encoder_and_its_own_head_only(joint: Config) -> None:
    model, data = setups(joint)
    names = [name for name, _ in model.named_parameters()]
    assert not any(name.startswith("relations.text.") for name in names)
    for slots, own, other in ((False, "fusion.", "relations."), (True, "relations.", "fusion.")):
        group = [x for x in data.train if (x.slots is not None) == slots][:4]
        batch = collate(group, data.tables_for(group), model.text.pad_id)
        model.zero_grad()
        batch = batch._replace(allowed=None)  # what the tagger learns from pairs is tested below
        sum(part.loss(part(own), own) for part, own in model.parts(batch)).backward()
        moved = {
            name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
        }
        for prefix in ("text.backbone.encoder.", own):
            assert any(name.startswith(prefix) for name in moved)
        assert not any(name.startswith(other) for name in moved)


def test_the_tagger_learns_the_arguments_of_pairs_and_nothing_of_other_words(joint: Config) -> None:
    model, data = setups(joint)
    group = [x for x in data.train if x.slots is not None][:8]
    labels, whole = model.head.labels, (1 << len(model.head.labels)) - 1
    seen: set[int] = set()
    for example in group:
        known = [x for x in example.arguments if not x[2] or f"B-{x[2]}" in labels]
        inside = {word for first, last, _ in known for word in range(first, last + 1)}
        behind = {last + 1 for _, last, _ in known}
        seen |= inside
        for word, allowed in enumerate(example.allowed):
            tags = {tag for i, tag in enumerate(labels) if allowed >> i & 1}
            if word in inside:
                assert "O" not in tags
            elif word in behind:
                assert not any(tag.startswith("I-") for tag in tags)
            else:
                assert allowed == whole
    assert seen
    batch = collate(group, data.tables_for(group), model.text.pad_id)
    (_, pairs), (tagger, tags) = model.parts(batch)
    assert tagger is model
    assert pairs.convention is None
    model.loss(model(tags), tags).backward()
    assert model.head.transitions.grad is not None
    assert float(model.head.transitions.grad.abs().sum()) > 0
    assert all(p.grad is None for name, p in model.named_parameters() if name.startswith("relations."))


def test_pair_emissions_are_the_same_with_and_without_the_tagger(joint: Config) -> None:
    model, data = setups(joint)
    model.eval()
    group = [x for x in data.train if x.slots is not None][:4]
    batch = collate(group, data.tables_for(group), model.text.pad_id)
    (relations, own), _ = model.parts(batch)
    alone = batch._replace(allowed=None, convention=None)
    torch.testing.assert_close(relations(own).emissions, relations(alone).emissions)


def test_allowed_tags_where_only_arguments_are_annotated() -> None:
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    arguments = [(1, 2, ""), (1, 2, "PER"), (2, 3, "LOC"), (5, 5, "")]
    begins, inside, every = 0b01000, 0b10000, 0b11111
    assert allowed_by_entities(7, arguments, labels) == [
        every, begins, inside, 0b01011, every, 0b01010, 0b01011,
    ]  # fmt: skip
    assert allowed_by_entities(2, [(0, 0, "SHIP")], labels) == [every, every]


def test_initial_weights_are_loaded_by_name_and_shape(joint: Config, tmp_path: Path) -> None:
    model, _ = setups(joint)
    path = tmp_path / "weights.safetensors"
    save_file({"head.start": torch.full((5,), 7.0), "head.end": torch.zeros(99)}, path)
    lines: list[str] = []
    load_initial_weights(model, path, lines.append)
    assert model.head.start.tolist() == [7.0] * 5
    average_with(model, {"head.start": torch.ones(5)}, 0.25)
    assert model.head.start.tolist() == [5.5] * 5
    assert lines == [f"initialised 1 of {len(model.state_dict())} weights from weights.safetensors"]
    save_file({"head.start": torch.ones(5), "relations.head.start": torch.full((5,), 9.0)}, path)
    load_initial_weights(model, path, lines.append, "relations.")
    assert model.head.start.tolist() == [9.0] * 5
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="none of its 1 weights"):
        load_initial_weights(model, path, lines.append)
    with pytest.raises(DataError, match="cannot be read"):
        load_initial_weights(model, tmp_path / "none", lines.append)


def test_a_relation_model_with_markers_in_the_text_cannot_be_joint(joint: Config, tmp_path: Path) -> None:
    path = Path(joint.model.joint)
    path.write_text(path.read_text(encoding="utf-8").replace('"levitated"', '"untyped"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="markers levitated"):
        run.train(joint, tmp_path / "model", silent)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_export")
def test_one_training_gives_one_folder(joint: Config, tmp_path: Path) -> None:
    out = run.train(joint, tmp_path / "model", silent)
    folder = open_folder(out)
    assert folder.relations is not None
    assert {"text.onnx", "tokenizer.json"} <= set(folder.relations.config.shared_files)
    assert not (out / "relations" / "text.onnx").exists()
    log = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(log) == 12
    assert str(tmp_path) not in (out / "training.toml").read_text(encoding="utf-8")
    extractor = twofold.load(out)
    alone = list(extractor.extract(["Ada works at NASA", "CERN pays Alan well and Ada met Grace Hopper"]))
    again = list(extractor.extract(["CERN pays Alan well and Ada met Grace Hopper"]))
    assert alone[1].relations == again[0].relations
    assert np.isfinite([r.confidence for x in alone for r in x.relations]).all()
