"""A training that takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from quick_export import draw_nothing
from tiny_training_fixtures import config, corpus, encoder  # noqa: F401

from twofold.training import loop


@pytest.fixture(scope="module", autouse=True)
def no_curve() -> Iterator[None]:
    """Trainings draw no learning curve, except in the test of the curve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "draw_curve", draw_nothing)
        yield
