"""Benchmarks are tested on a training that takes seconds."""

from __future__ import annotations

from tiny_training_fixtures import config, corpus, encoder  # noqa: F401
