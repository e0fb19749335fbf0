"""Fixtures of the tests of the service; without the extra they are skipped."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from server.browser import chromium
from server.live import live

from twofold.pipeline.extractor import Extractor, load


@pytest.fixture(scope="module")
def browser():
    """A browser; without one the tests are skipped."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def extractor(both) -> Extractor:
    return load(both, threads=1)


@pytest.fixture(scope="module")
def service(extractor):
    """A service with default settings."""
    with live(extractor) as running:
        yield running
