"""Calibration methods: what is fitted to make confidences match accuracies.

This module does not know what is predicted, models or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twofold.calibration.calibration import Calibration
from twofold.calibration.isotonic import fit_isotonic
from twofold.calibration.labelled_predictions import LabelledPredictions
from twofold.calibration.temperature import fit_temperature

MIN_PREDICTIONS_OF_TYPE = 50
"""Fewest predictions of a class that get a temperature of their own."""


def one_temperature(data: LabelledPredictions) -> Calibration:
    """One temperature for all: needs the least data; the best of the three on a thousand predictions."""

    def confidences(temperature: float) -> NDArray[np.float64]:
        return data.confidences(Calibration(temperature))

    return Calibration(fit_temperature(confidences, data.right).temperature)


def temperature_by_type(data: LabelledPredictions) -> Calibration:
    """A temperature for each class with `MIN_PREDICTIONS_OF_TYPE` predictions or more; one for the others."""
    counts = np.bincount(data.predicted, minlength=len(data.classes))
    frequent = np.flatnonzero(counts >= MIN_PREDICTIONS_OF_TYPE).tolist()
    by_type = {
        data.classes[number]: one_temperature(data.of_class(number)).temperature for number in frequent
    }
    return Calibration(one_temperature(data).temperature, by_type)


def temperature_then_isotonic(data: LabelledPredictions) -> Calibration:
    """One temperature, and an isotonic map after it."""
    first = one_temperature(data)
    return Calibration(first.temperature, isotonic=fit_isotonic(data.confidences(first), data.right))


Method = Callable[[LabelledPredictions], Calibration]
METHODS: Mapping[str, Method] = {
    "temperature": one_temperature,
    "types": temperature_by_type,
    "isotonic": temperature_then_isotonic,
}
