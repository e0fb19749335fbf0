"""Fixtures of the tests of commands."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_intervals(few_resamples: None) -> None:
    """Commands print intervals; how they are drawn is tested with the metrics."""
