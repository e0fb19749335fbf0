"""Fixtures of a training that takes seconds, for test folders that train models."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import save_encoder, write_corpus

from twofold.config import Config, DataConfig, ModelConfig, TrainingConfig


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def config(encoder: Path, corpus: Path) -> Config:
    return Config(
        DataConfig((str(corpus / "train.jsonl"),), (str(corpus / "dev.jsonl"),)),
        ModelConfig(text_encoder=str(encoder), modalities=("alt_text",), window_pieces=48, context_words=4,
                    weights="float32"),
        TrainingConfig(
            epochs=3, patience=0, batch_size=6, encoder_lr=5e-3, head_lr=1e-2, crf_lr=1e-2, ema_decay=0.5,
            token_masking=0.0, threads=1, device="cpu", precision="float32",
        ),
    )  # fmt: skip
