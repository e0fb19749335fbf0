"""A tiny labelled corpus and a tiny random encoder: trainings that take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from twofold.config import Config, DataConfig, ModelConfig, TrainingConfig  # noqa: E402

NAMES = {"PER": ["Ada", "Grace Hopper", "Alan"], "LOC": ["Paris", "New York", "Rome"]}
FRAMES = [
    ("PER", "{} says hi"),
    ("PER", "lunch with {} today"),
    ("LOC", "off to {} now"),
    ("LOC", "sunset in {} 😂"),
]


def line(number: int) -> str:
    kind, frame = FRAMES[number % len(FRAMES)]
    name = NAMES[kind][number // len(FRAMES) % 3]
    text = frame.format(name)
    start = text.index(name)
    entity = {"start": start, "end": start + len(name), "text": name, "type": kind}
    post = {"id": number, "text": text, "entities": [entity]}
    return json.dumps(post | ({"alt_text": "a city"} if kind == "LOC" and number % 3 else {})) + "\n"


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 16 with a WordPiece vocabulary of letters, saved as a hub model is."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), ".", "#"]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("encoder")
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.jsonl and dev.jsonl."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "train.jsonl").write_text("".join(map(line, range(36))), encoding="utf-8")
    (folder / "dev.jsonl").write_text("".join(map(line, range(12))), encoding="utf-8")
    return folder


@pytest.fixture
def config(encoder: Path, corpus: Path) -> Config:
    return Config(
        DataConfig((str(corpus / "train.jsonl"),), (str(corpus / "dev.jsonl"),)),
        ModelConfig(text=str(encoder), sources=("alt_text",), window_pieces=48, context_words=4,
                    weights="float32"),
        TrainingConfig(
            epochs=3, patience=0, batch_size=6, encoder_lr=5e-3, head_lr=1e-2, crf_lr=1e-2, average=0.5,
            piece_dropout=0.0, threads=1, device="cpu", precision="float32",
        ),
    )  # fmt: skip
