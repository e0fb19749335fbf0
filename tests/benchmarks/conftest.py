"""Benchmarks are tested with a training that takes seconds."""

from __future__ import annotations

from tiny_training_fixtures import config, corpus, encoder  # noqa: F401
