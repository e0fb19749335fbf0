"""Doubt of whole posts, against the extraction and against the CRF's own sums."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import tiny_model

import twofold
from twofold.calibration.post_uncertainty import MEASURES, post_uncertainty


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return twofold.load(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"))


def doubt(extractor, text):
    (reading,) = extractor.pipeline.encode([text])
    (extraction,) = extractor.pipeline.decode([reading])
    told = post_uncertainty(
        extractor.pipeline.decoder, extractor.pipeline.folder.temperature, reading, extraction.entities
    )
    assert tuple(told) == MEASURES
    return reading, extraction.entities, told


def test_entities(extractor):
    _, entities, told = doubt(extractor, "Anna saw paris and NASA")
    assert len(entities) == 3
    doubts = [1 - e.confidence for e in entities]
    assert told["entity_confidence_mean"] == pytest.approx(sum(doubts) / 3)
    assert told["entity_confidence_max"] == max(doubts)
    epistemic = [e.uncertainty.epistemic for e in entities]
    assert told["entity_epistemic_mean"] == pytest.approx(sum(epistemic) / 3)
    assert told["entity_aleatoric_max"] == max(e.uncertainty.aleatoric for e in entities)


def test_words_by_enumeration(extractor):
    reading, _, told = doubt(extractor, "Anna left")
    decoder, scores = extractor.pipeline.decoder, reading.emissions.astype(np.float64)
    paths = {
        (a, b): math.exp((scores[0, a] + scores[1, b]) / extractor.pipeline.folder.temperature)
        for a, b in product(range(len(decoder.labels)), repeat=2)
        if _allowed(decoder.labels[a], decoder.labels[b])
    }
    total = sum(paths.values())
    chances = np.zeros((2, len(decoder.labels)))
    for tags, weight in paths.items():
        for word, tag in enumerate(tags):
            chances[word, tag] += weight / total
    doubts = 1 - chances.max(1)
    assert told["word_confidence_max"] == pytest.approx(doubts.max())
    assert told["word_confidence_mean"] == pytest.approx(doubts.mean())


def _allowed(first, second):
    return not first.startswith("I-") and (second[:2] != "I-" or first[2:] == second[2:] != "")


def test_uncertainty_of_words_is_that_of_their_entity(extractor):
    _, (entity,), told = doubt(extractor, "NASA")
    assert told["word_aleatoric_mean"] == pytest.approx(entity.uncertainty.aleatoric)
    assert told["word_epistemic_max"] == pytest.approx(entity.uncertainty.epistemic)


def test_nothing_found_and_nothing_there(extractor):
    _, entities, told = doubt(extractor, "the sea")
    assert entities == ()
    assert math.isnan(told["entity_confidence_max"])
    assert 0 < told["word_confidence_max"] < 1
    _, _, told = doubt(extractor, "")
    assert all(math.isnan(value) for value in told.values())


def test_models_without_evidence(tmp_path):
    _, _, told = doubt(twofold.load(tiny_model.build(tmp_path / "plain", evidence=False)), "Anna")
    assert [name for name, value in told.items() if not math.isnan(value)] == [
        "entity_confidence_mean", "entity_confidence_max", "word_confidence_mean", "word_confidence_max",
    ]  # fmt: skip
