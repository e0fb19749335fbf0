"""Fixtures of the tests of the service; without the extra they are skipped."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

import tiny_model
from server.browser import chromium
from server.live import live

from twofold.pipeline.extractor import Extractor, combine, load


@pytest.fixture(scope="module")
def browser():
    """A browser; where there is none the tests are skipped."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A tiny tagger with a tiny relation model."""
    place = tmp_path_factory.mktemp("served")
    tiny_model.build(place / "tagger")
    tiny_model.build_relations(place / "relations")
    combine(place / "tagger", place / "relations", place / "both")
    return place / "both"


@pytest.fixture(scope="session")
def extractor(folder) -> Extractor:
    return load(folder, threads=1)


@pytest.fixture(scope="module")
def service(extractor):
    """A service with the settings that it has by default."""
    with live(extractor) as running:
        yield running
