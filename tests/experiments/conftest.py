"""A table over files of a few lines."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

TABLE = """
title = "Small"
folder = "data"
baseline = "text_only"
seeds = [1, 2]

[model]
weights = "float32"

[training]
epochs = 2

[data.tweets]
title = "Tweets"
train = ["train.jsonl"]
dev = ["dev.jsonl"]
report = "test.jsonl"
alt_text = "captions.tsv"
descriptions = "written by hand"

[methods.text_only.model]
fusion = "text_only"
modalities = []

[methods.evidential]
title = "Evidential"
[methods.evidential.model]
fusion = "evidential"
modalities = ["alt_text"]
[methods.evidential.model.evidential]
pooling = "monig"
"""


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "captions.tsv"):
        (data / name).write_text(f"{name}\n", encoding="utf-8")
    path = tmp_path / "small.toml"
    path.write_text(dedent(TABLE), encoding="utf-8")
    return path
