"""Temperature scaling on data with a known temperature."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.calibration.temperature import (
    _minimum,
    fit_on_classes,
    fit_on_spans,
    fit_temperature,
    require_predictions,
)
from twofold.crf import ChainDecoder, TagSpan
from twofold.errors import DataError
from twofold.evaluation.calibration_error import calibration_error, negative_log_likelihood


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_finds_the_temperature_that_made_the_data(truth):
    random = np.random.default_rng(0)
    logits = 3 * random.standard_normal(40_000)
    right = random.random(40_000) < sigmoid(logits / truth)
    fit = fit_temperature(lambda t: sigmoid(logits / t), right)
    assert fit.temperature == pytest.approx(truth, rel=0.05)
    assert fit.nll_after <= fit.nll_before
    assert fit.ece_after < 0.01
    if truth != 1:
        assert fit.ece_after < fit.ece_before
    assert fit.predictions == 40_000
    assert fit.accuracy == right.mean()


def test_stays_within_its_bounds():
    fit = fit_temperature(lambda t: sigmoid(np.full(5, 2.0) / t), np.zeros(5, bool))
    assert fit.temperature == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("count", [1, 5, 120])
def test_confidences_stay_below_1_where_every_prediction_is_right(count):
    fit = fit_temperature(lambda t: sigmoid(np.full(count, 2.0) / t), np.ones(count, bool))
    assert sigmoid(2 / fit.temperature) == pytest.approx((count + 1) / (count + 2), rel=1e-4)  # Platt 1999


def test_spans_of_an_overconfident_decoder():
    random = np.random.default_rng(1)
    decoder = ChainDecoder(("O", "B-X", "I-X"), np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    emissions = [2 * random.standard_normal((n, 3)) for n in random.integers(1, 9, 1500)]
    gold = []
    for values in emissions:  # drawn from the decoder itself at temperature 2
        tags = [int(random.choice(3, p=p)) for p in np.exp(values / 2) / np.exp(values / 2).sum(1)[:, None]]
        tags = [1 if t == 2 and (i == 0 or tags[i - 1] == 0) else t for i, t in enumerate(tags)]
        gold.append(decoder.spans_of(np.array(tags)))
    fit = fit_on_spans(decoder, emissions, gold)
    assert 1.5 < fit.temperature < 2.6
    assert fit.ece_after < fit.ece_before
    assert fit.nll_after < fit.nll_before


def test_nothing_to_fit_on():
    with pytest.raises(DataError, match="predicted nothing"):
        fit_temperature(lambda t: np.zeros(0), np.zeros(0, bool))


@pytest.mark.parametrize("truth", [0.5, 2.0])
def test_classes_of_a_softmax_at_a_known_temperature(truth):
    """Some classes are excluded; rows that predict ``none`` play no part."""
    random = np.random.default_rng(2)
    scores = 2 * random.standard_normal((30_000, 5))
    scores[:15_000, 3:] = -np.inf
    probabilities = np.exp(scores / truth)
    probabilities /= probabilities.sum(1, keepdims=True)
    gold = (probabilities.cumsum(1) < random.random((30_000, 1))).sum(1)
    fit = fit_on_classes(scores, gold, none=0)
    assert fit.temperature == pytest.approx(truth, rel=0.06)
    predicted = scores.argmax(1) != 0
    assert fit.predictions == predicted.sum()
    assert fit.accuracy == (gold[predicted] == scores.argmax(1)[predicted]).mean()
    other = np.where(predicted, gold, 4)
    assert fit_on_classes(scores, other, none=0) == fit


def test_classes_of_which_none_is_predicted():
    with pytest.raises(DataError, match="predicted nothing"):
        fit_on_classes(np.array([[2.0, 1.0]]), np.array([0]), none=0)


@pytest.mark.parametrize("place", [-2.0, -1.4, 0.0, 0.37, 1.9, 2.0])
def test_the_search_finds_the_minimum_between_its_bounds(place):
    assert _minimum(lambda x: (x - place) ** 2, -2, 2) == pytest.approx(place, abs=1e-6)


def test_the_search_finds_the_deeper_of_two_minima():
    def wells(x):
        return min((x + 1.5) ** 2, (x - 1.1) ** 2 - 0.5)

    assert _minimum(wells, -2, 2) == pytest.approx(1.1, abs=1e-6)
    assert _minimum(lambda x: wells(-x), -2, 2) == pytest.approx(-1.1, abs=1e-6)


def test_metrics_before_and_after():
    random = np.random.default_rng(3)
    logits = 3 * random.standard_normal(200)
    right = random.random(200) < sigmoid(logits / 2)
    fit = fit_temperature(lambda t: sigmoid(logits / t), right)
    for values, nll, ece in (
        (sigmoid(logits), fit.nll_before, fit.ece_before),
        (sigmoid(logits / fit.temperature), fit.nll_after, fit.ece_after),
    ):
        assert nll == negative_log_likelihood(values, right)
        assert ece == calibration_error(values, right)
    for temperature in (0.9 * fit.temperature, 1.1 * fit.temperature):
        assert negative_log_likelihood(sigmoid(logits / temperature), right) > fit.nll_after


def test_a_span_is_right_where_the_gold_holds_it():
    decoder = ChainDecoder(("O", "B-X", "I-X"), np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    emissions = [np.array([[0.0, 3, 0], [0, 0, 2], [0, 4, 0]]), np.array([[0.0, 2, 0]])]
    fit = fit_on_spans(decoder, emissions, [[TagSpan(0, 2, "X")], [TagSpan(0, 1, "Y")]])
    assert (fit.predictions, fit.accuracy) == (3, 1 / 3)


def test_the_message_where_nothing_is_predicted():
    with pytest.raises(DataError) as raised:
        require_predictions(np.zeros(0, bool))
    assert (raised.value.what, raised.value.expected, raised.value.do) == (
        "the model predicted nothing on the calibration data",
        "data on which it predicts something",
        "calibrate on more or other labelled posts",
    )
