"""Fixtures of the tests of commands."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_intervals(few_resamples: None) -> None:
    """Few bootstrap resamples: the intervals that commands print are tested with the metrics."""
