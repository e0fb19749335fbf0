"""A training that takes seconds."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_training_fixtures import config, corpus, encoder  # noqa: F401
