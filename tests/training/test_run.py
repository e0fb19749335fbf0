"""A whole training on a tiny corpus: learning, resuming, and agreement with the exported graphs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from safetensors.torch import load_file  # noqa: E402
from tiny_training import line  # noqa: E402

import twofold  # noqa: E402
from twofold.cli.main import main  # noqa: E402
from twofold.config import Config, ModelConfig  # noqa: E402
from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.errors import ConfigError, DataError, ModelError  # noqa: E402
from twofold.models.build import build_model  # noqa: E402
from twofold.preprocessing.word_pieces import WindowTokenizer  # noqa: E402
from twofold.training import loop  # noqa: E402
from twofold.training.examples import batches, collate, make_examples  # noqa: E402
from twofold.training.learning_curve import draw_curve  # noqa: E402
from twofold.training.run import train  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the exporter warns about its own internals
]


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def trained(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of twelve epochs, with its learning curve."""
    longer = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "draw_curve", draw_curve)
        return train(longer, tmp_path_factory.mktemp("run") / "model", silent)


def test_trains_to_a_folder_that_extracts(trained: Path) -> None:
    out = trained
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    scores = next(iter(card["scores"].values()))
    assert scores["lenient"]["all"]["f1"] > 80
    found = next(iter(twofold.load(out).extract(["off to Rome now"])))
    assert [(e.text, e.type) for e in found.entities] == [("Rome", "LOC")]
    entity = found.entities[0]
    assert 0 < entity.confidence <= 1
    assert entity.sources["text"].share == pytest.approx(1)
    for name in ("curve.png", "log.jsonl", "training.toml", "README.md"):
        assert (out / name).stat().st_size > 0
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not (out.parent / "model.training" / "checkpoint.pt").exists()


def test_a_small_dev_file_gives_a_temperature_only_and_the_card_says_why(trained: Path) -> None:
    card = json.loads((trained / "card.json").read_text(encoding="utf-8"))
    assert "entities in one half" in card["calibration"]["note"]
    assert "report" not in card["calibration"]
    page = (trained / "README.md").read_text(encoding="utf-8")
    assert f"**No thresholds and no prediction sets**: {card['calibration']['note']}" in page
    with pytest.raises(ModelError, match="has no prediction sets"):
        twofold.load(trained, coverage=0.9)


@pytest.mark.usefixtures("quick_export", "few_resamples")
def test_a_trained_folder_has_risk_control_and_prediction_sets(config: Config, tmp_path: Path) -> None:
    dev = tmp_path / "dev.jsonl"
    dev.write_text("".join(map(line, range(100, 340))), encoding="utf-8")
    data = dataclasses.replace(config.data, dev=(config.data.dev[0], str(dev)))
    longer = dataclasses.replace(config.training, epochs=8)
    lines: list[str] = []
    out = train(dataclasses.replace(config, data=data, training=longer), tmp_path / "model", lines.append)
    assert not any("temperature only" in text for text in lines)
    record = json.loads((out / "calibration.json").read_text(encoding="utf-8"))
    names = [f"{Path(file).parent.name}/{Path(file).name}" for file in data.dev]
    assert record["fitted_on"] == names
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert list(card["calibration"]["by_data_set"]) == names
    assert card["calibration"]["report"] == record["report"]
    (found,) = twofold.load(out, max_error=0.3, coverage=0.9).extract(["off to Rome now"])
    assert [entity.review for entity in found.entities] == [False]
    assert "LOC" in found.entities[0].candidates
    # `twofold calibrate` on the same posts gives the same calibration.
    copy = ["-o", str(tmp_path / "again"), "--name", config.model.name]
    assert main(["calibrate", str(out), *data.dev, *copy]) == 0
    again = json.loads((tmp_path / "again" / "calibration.json").read_text(encoding="utf-8"))
    assert again == record
    page = (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    origin = next(
        row for row in page.splitlines(keepends=True) if row.startswith("Calibrated copy of `custom`")
    )
    assert page.replace(f"{origin}\n", "") == (out / "README.md").read_text(encoding="utf-8")


def test_exported_graphs_agree_with_the_network(config: Config, trained: Path) -> None:
    agree(config, trained)


@pytest.mark.usefixtures("either_export")
def test_the_direct_form_trains_and_its_graphs_agree_with_the_network(config: Config, tmp_path: Path) -> None:
    evidential = dataclasses.replace(config.model.evidential, form="direct")
    direct = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, evidential=evidential),
        training=dataclasses.replace(config.training, epochs=12),
    )
    out = train(direct, tmp_path / "model", silent)
    agree(direct, out)
    posts = [twofold.Post(1, "off to Rome now", alt_text="a city"), twofold.Post(2, "off to Rome now")]
    for found in twofold.load(out).extract(posts):
        (entity,) = found.entities
        assert (entity.text, entity.type) == ("Rome", "LOC")
        assert entity.uncertainty.aleatoric > 0
        assert set(entity.sources) == ({"text", "alt_text"} if found.id == 1 else {"text"})
        assert sum(source.share for source in entity.sources.values()) == pytest.approx(1)


def agree(config: Config, out: Path) -> None:
    """Check that the folder's graphs and the network give the same outputs."""
    text = load_text_encoder(config.model.text_encoder)
    extractor = twofold.load(out)
    model = build_model(config.model, extractor.pipeline.folder.config.labels, text, None).eval()
    model.load_state_dict(load_file(f"{out}.training/weights.safetensors"))
    posts = [
        twofold.Post(1, "sunset in New York with Ada", alt_text="a city at night"),
        twofold.Post(2, "hi"),
        twofold.Post(3, "lunch in Rome. " * 3),
    ]
    pieces = WindowTokenizer(text.tokenizer, 48, 4, text.pad_id)
    examples = make_examples(posts, [{}] * 3, pieces, extractor.pipeline.folder.config.labels)
    with torch.no_grad():
        fused = model(collate(examples, {}, text.pad_id))
    encoded_posts = list(extractor.pipeline.encode(posts))
    in_memory = [
        dataclasses.replace(r, emissions=fused.emissions[i, : len(r.words)].numpy())
        for i, r in enumerate(encoded_posts)
    ]
    for one, other in zip(
        extractor.pipeline.decode(encoded_posts), extractor.pipeline.decode(in_memory), strict=True
    ):
        assert [(e.start, e.end, e.type) for e in one.entities] == [
            (e.start, e.end, e.type) for e in other.entities
        ]
        for a, b in zip(one.entities, other.entities, strict=True):
            assert a.confidence == pytest.approx(b.confidence, abs=1e-4)
    for i, encoded in enumerate(encoded_posts):
        width = len(encoded.words)
        np.testing.assert_allclose(encoded.emissions, fused.emissions[i, :width], atol=1e-4)
        np.testing.assert_allclose(encoded.fused, fused.pooled[i, :, :width], atol=1e-4, rtol=1e-4)
        present = np.array(encoded.present)
        shares = fused.share[i, :, :width].numpy()
        np.testing.assert_allclose(encoded.share[present], shares[present], atol=1e-4)


class Killed(Exception):
    """Simulates a signal that ends a training from outside."""


def killed_after_two(line: str) -> None:
    if line.startswith("epoch 2/"):
        raise Killed


@pytest.mark.usefixtures("quick_export")
def test_a_killed_training_resumes_and_ends_with_the_same_weights(config: Config, tmp_path: Path) -> None:
    whole = train(config, tmp_path / "whole", silent)
    with pytest.raises(Killed):
        train(config, tmp_path / "cut", killed_after_two)
    assert not (tmp_path / "cut").exists()
    lines: list[str] = []
    cut = train(config, tmp_path / "cut", lines.append)
    assert any("resuming after epoch" in line for line in lines)
    one, other = (load_file(f"{x}.training/weights.safetensors") for x in (whole, cut))
    assert all(torch.equal(one[name], other[name]) for name in one)
    for file in ("text.onnx", "fusion.onnx", "decoder.safetensors"):
        assert (whole / file).read_bytes() == (cut / file).read_bytes()


@pytest.mark.usefixtures("quick_export")
def test_a_checkpoint_of_another_training_is_refused(config: Config, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(config, tmp_path / "model", killed_after_two)
    other = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=9))
    with pytest.raises(DataError, match="another configuration"):
        train(other, tmp_path / "model", silent)
    train(other, tmp_path / "model", silent, fresh=True)


@pytest.mark.usefixtures("quick_export")
def test_stops_early_when_dev_does_not_improve(config: Config, tmp_path: Path) -> None:
    still = dataclasses.replace(
        config.training, epochs=9, patience=2, encoder_lr=0.0, head_lr=0.0, crf_lr=0.0
    )  # fmt: skip
    train(dataclasses.replace(config, training=still), tmp_path / "model", silent)
    assert len((tmp_path / "model" / "log.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("fusion", ["text_only"])
def test_a_fusion_without_evidence_trains_and_extracts(config: Config, tmp_path: Path, fusion: str) -> None:
    model = dataclasses.replace(config.model, fusion=fusion, weights="8bit")
    out = train(dataclasses.replace(config, model=model), tmp_path / "model", silent)
    extraction = next(iter(twofold.load(out).extract(["off to Rome now"])))
    assert all(e.uncertainty is None and not e.sources for e in extraction.entities)


def test_no_dev_file_is_an_error(config: Config, tmp_path: Path) -> None:
    data = dataclasses.replace(config.data, dev=())
    with pytest.raises(ConfigError, match="no dev file"):
        train(dataclasses.replace(config, data=data), tmp_path / "model", silent)


def test_batches_are_the_same_for_a_seed_and_cover_all(config: Config) -> None:
    text = load_text_encoder(config.model.text_encoder)
    posts = [twofold.Post(i, "word " * (i % 7 + 1)) for i in range(50)]
    examples = make_examples(posts, [{}] * 50, WindowTokenizer(text.tokenizer, 48, 4, 0), ["O"])
    first, again, next_epoch = (
        [[e.post for e in group] for group in batches(examples, 8, 3, epoch)] for epoch in (0, 0, 1)
    )
    assert first == again != next_epoch
    assert sorted(post for group in first for post in group) == list(range(50))


def test_an_unknown_fusion_is_an_error() -> None:
    with pytest.raises(ConfigError, match="evidential"):
        build_model(ModelConfig(fusion="magic", modalities=()), ["O"], _NoEncoder(), None)


class _NoEncoder:
    width = 4
