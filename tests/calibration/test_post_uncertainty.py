"""Uncertainty of whole posts, against the extraction and against sums over all tag sequences of the CRF."""

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


def predict(extractor, text):
    (encoded,) = extractor.pipeline.encode([text])
    (extraction,) = extractor.pipeline.decode([encoded])
    measures = post_uncertainty(
        extractor.pipeline.decoder, extractor.pipeline.folder.temperature, encoded, extraction.entities
    )
    assert tuple(measures) == MEASURES
    return encoded, extraction.entities, measures


def test_entities(extractor):
    _, entities, measures = predict(extractor, "Anna saw paris and NASA")
    assert len(entities) == 3
    expected = [1 - e.confidence for e in entities]
    assert measures["entity_confidence_mean"] == pytest.approx(sum(expected) / 3)
    assert measures["entity_confidence_max"] == max(expected)
    epistemic = [e.uncertainty.epistemic for e in entities]
    assert measures["entity_epistemic_mean"] == pytest.approx(sum(epistemic) / 3)
    assert measures["entity_aleatoric_max"] == max(e.uncertainty.aleatoric for e in entities)


def test_words_by_enumeration(extractor):
    encoded, _, measures = predict(extractor, "Anna left")
    decoder, scores = extractor.pipeline.decoder, encoded.emissions.astype(np.float64)
    paths = {
        (a, b): math.exp((scores[0, a] + scores[1, b]) / extractor.pipeline.folder.temperature)
        for a, b in product(range(len(decoder.labels)), repeat=2)
        if _allowed(decoder.labels[a], decoder.labels[b])
    }
    total = sum(paths.values())
    probabilities = np.zeros((2, len(decoder.labels)))
    for tags, weight in paths.items():
        for word, tag in enumerate(tags):
            probabilities[word, tag] += weight / total
    expected = 1 - probabilities.max(1)
    assert measures["word_confidence_max"] == pytest.approx(expected.max())
    assert measures["word_confidence_mean"] == pytest.approx(expected.mean())


def _allowed(first, second):
    return not first.startswith("I-") and (second[:2] != "I-" or first[2:] == second[2:] != "")


def test_uncertainty_of_words_is_that_of_their_entity(extractor):
    _, (entity,), measures = predict(extractor, "NASA")
    assert measures["word_aleatoric_mean"] == pytest.approx(entity.uncertainty.aleatoric)
    assert measures["word_epistemic_max"] == pytest.approx(entity.uncertainty.epistemic)


def test_no_entities_and_no_words(extractor):
    _, entities, measures = predict(extractor, "the sea")
    assert entities == ()
    assert math.isnan(measures["entity_confidence_max"])
    assert 0 < measures["word_confidence_max"] < 1
    _, _, measures = predict(extractor, "")
    assert all(math.isnan(value) for value in measures.values())


def test_models_without_evidence(tmp_path):
    _, _, measures = predict(twofold.load(tiny_model.build(tmp_path / "plain", evidence=False)), "Anna")
    assert [name for name, value in measures.items() if not math.isnan(value)] == [
        "entity_confidence_mean", "entity_confidence_max", "word_confidence_mean", "word_confidence_max",
    ]  # fmt: skip
