"""Whole trainings with other backbones and all modalities; the exported folders agree with the networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from tiny_text import save_text  # noqa: E402
from tiny_training import line  # noqa: E402
from tiny_vision import save_vision  # noqa: E402

import twofold  # noqa: E402
from twofold.config import Config, DataConfig, ModelConfig, TrainingConfig  # noqa: E402
from twofold.corpora import open_corpus  # noqa: E402
from twofold.encoders.adapters import merge_adapters  # noqa: E402
from twofold.encoders.image import load_image_encoder  # noqa: E402
from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.models.build import build_model  # noqa: E402
from twofold.preprocessing.feature_cache import FeatureCache  # noqa: E402
from twofold.preprocessing.word_pieces import WindowTokenizer  # noqa: E402
from twofold.training.examples import collate, make_examples  # noqa: E402
from twofold.training.picture_features import PictureFeatureExtractor  # noqa: E402
from twofold.training.run import train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
MODALITIES = ("picture", "whole", "crops", "alt_text", "objects", "ocr")


def silent(message: str) -> None:
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posts of which some have pictures, regions, both (one picture broken), or neither."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(random.integers(0, 256, (30 + i, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    (folder / "5.png").write_bytes(b"broken")
    found = [
        {"box": [0.1, 0.1, 0.6, 0.9], "label": "person", "score": 0.9},
        {"box": [0.5, 0.2, 1.0, 0.8], "label": "dog", "score": 0.4},
        {"box": [0.0, 0.8, 1.0, 1.0], "label": "stop here", "kind": "text"},
    ]
    posts = [json.loads(line(i)) for i in range(36)]
    for i, post in enumerate(posts):
        post |= {"image": f"{i % 6}.png"} if i % 4 else {}
        post |= {"regions": found[: i % 4]} if i % 3 else {}
    (folder / "train.jsonl").write_text("".join(json.dumps(p) + "\n" for p in posts), encoding="utf-8")
    (folder / "dev.jsonl").write_text("".join(json.dumps(p) + "\n" for p in posts[:14]), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "image", "model", "training"),
    [
        ("roberta", "clip", {"max_crops": 3}, {}),
        pytest.param("deberta-v3", "resnet", {}, {"encoder_lr": 0.0}, marks=pytest.mark.thorough),
        pytest.param(
            "bert", "dinov2-registers", {"adapters": "lora", "adapter_rank": 2}, {},
            marks=pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="peft is not installed"),
        ),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("quick_export")
def test_an_exported_folder_agrees_with_the_network(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    image: str,
    model: dict,
    training: dict,
) -> None:
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    config = Config(
        DataConfig((str(data / "train.jsonl"),), (str(data / "dev.jsonl"),)),
        ModelConfig(
            text_encoder=str(save_text(text, tmp_path / "text")[0]),
            image_encoder=str(save_vision(image, tmp_path / "image")[0]),
            modalities=MODALITIES, window_pieces=32, context_words=4, weights="float32", **model,
        ),
        TrainingConfig(**{
            "epochs": 2, "batch_size": 6, "encoder_lr": 5e-3, "head_lr": 1e-2, "crf_lr": 1e-2,
            "ema_decay": 0.5, "threads": 1, "device": "cpu", "precision": "float32", **training,
        }),
    )  # fmt: skip
    out = train(config, tmp_path / "model", silent)
    extractor = twofold.load(out)
    posts = list(open_corpus(data / "dev.jsonl"))
    encoded_posts = list(extractor.pipeline.encode(posts))
    assert {encoded.picture.status for encoded in encoded_posts} == {"read", "none", "unreadable"}
    assert sum(map(sum, (r.present for r in encoded_posts))) > 40
    network, features = _network(config, extractor, posts, tmp_path)
    window = min(32, network.text.max_pieces)
    pieces = WindowTokenizer(network.text.tokenizer, window, 4, network.text.pad_id)
    examples = make_examples(posts, features.rows, pieces, network.head.labels)
    assert len(examples) == len(posts)
    with torch.no_grad():
        fused = network(collate(examples, features.tables, network.text.pad_id))
    for i, encoded in enumerate(encoded_posts):
        words = len(encoded.words)
        assert list(encoded.present) == fused.present[i].tolist()
        np.testing.assert_allclose(encoded.emissions, fused.emissions[i, :words], atol=1e-3)
        np.testing.assert_allclose(encoded.share, fused.share[i, :, :words], atol=1e-3)


def _network(config: Config, extractor: twofold.Extractor, posts: list, folder: Path) -> tuple:
    """The network as it was trained, and newly computed features of the posts' pictures."""
    text, image = load_text_encoder(config.model.text_encoder), load_image_encoder(config.model.image_encoder)
    network = build_model(config.model, extractor.pipeline.folder.config.labels, text, image).eval()
    network.load_state_dict(load_file(f"{folder / 'model'}.training/weights.safetensors"))
    merge_adapters(network.text)
    cache = FeatureCache(folder / "new", image.fingerprint)
    maker = PictureFeatureExtractor(image, cache, torch.device("cpu"), silent, config.model.max_crops)
    return network, maker.features(posts, MODALITIES)


@pytest.mark.usefixtures("quick_export")
def test_a_frozen_encoder_keeps_its_weights(data: Path, tmp_path: Path) -> None:
    folder = save_text("bert", tmp_path / "text")[0]
    config = Config(
        DataConfig((str(data / "train.jsonl"),), (str(data / "dev.jsonl"),)),
        ModelConfig(text_encoder=str(folder), modalities=(), fusion="text_only", window_pieces=32),
        TrainingConfig(epochs=1, encoder_lr=0.0, threads=1, device="cpu", ema_decay=0.0),
    )
    train(config, tmp_path / "model", silent)
    kept = load_file(tmp_path / "model.training" / "weights.safetensors")
    before = load_text_encoder(str(folder)).backbone.state_dict()
    assert all(torch.equal(kept[f"text.backbone.{name}"], value) for name, value in before.items())
    extraction = next(iter(twofold.load(tmp_path / "model").extract(["off to Rome now"])))
    assert extraction.picture.status == "none"


@pytest.mark.usefixtures("quick_export")
def test_a_training_tries_8_bit_convolutions_and_records_its_choice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    config = Config(
        DataConfig((str(data / "train.jsonl"),), (str(data / "dev.jsonl"),)),
        ModelConfig(
            text_encoder=str(save_text("bert", tmp_path / "text")[0]),
            image_encoder=str(save_vision("resnet", tmp_path / "image")[0]),
            modalities=("picture",), fusion="concat", window_pieces=32, context_words=4, weights="8bit",
        ),
        TrainingConfig(epochs=1, encoder_lr=0.0, threads=1, device="cpu", ema_decay=0.0),
    )  # fmt: skip
    lines: list[str] = []
    out = train(config, tmp_path / "model", lines.append)
    assert any("8 bits for text and picture" in text for text in lines)
    chosen = json.loads((out / "card.json").read_text(encoding="utf-8"))["picture_arithmetic"]
    kinds = {node.op_type for node in onnx.load(out / "picture.onnx").graph.node}
    assert ("QuantizeLinear" in kinds) == (chosen == "8bit")
    statuses = [
        found.picture.status for found in twofold.load(out).extract(twofold.read_posts(data / "dev.jsonl"))
    ]
    assert set(statuses) == {"read", "none", "unreadable"}
