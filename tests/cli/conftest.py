"""Fixtures of the tests of commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twofold.evaluation.domain_shift import post_ood_detection, prediction_ood_detection
from twofold.evaluation.trust_report import trust_report


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Iterator[None]:
    """Intervals from 40 bootstrap resamples instead of 1000: what they hold is tested with the metrics."""
    with pytest.MonkeyPatch.context() as patch:
        for report in (trust_report, post_ood_detection, prediction_ood_detection):
            patch.setitem(report.__kwdefaults__, "resamples", 40)
        yield
