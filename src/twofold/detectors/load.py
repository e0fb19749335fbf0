"""Detectors by name: packaged ones, or any from the hub. Each is imported only when it is used."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence

from twofold.detectors.contract import Detector
from twofold.errors import MissingExtraError


def _coco(threshold: float | None) -> Detector:
    from twofold.detectors.coco import CocoDetector

    return CocoDetector(threshold)


def _ocr(threshold: float | None) -> Detector:
    from twofold.detectors.ocr import OcrDetector

    return OcrDetector(threshold)


PACKAGED: Mapping[str, Callable[[float | None], Detector]] = {"coco": _coco, "ocr": _ocr}
"""Detectors whose weights are installed as Python packages."""


def load_detector(
    name: str, phrases: Sequence[str] = (), threshold: float | None = None, device: str = "auto"
) -> Detector:
    """Load a detector.

    Args:
        name: ``coco``, ``ocr``, a local folder, or a model's name on the hub.
        phrases: what a phrase detector detects; ignored by others.
        threshold: regions with a lower score are left out; None for the detector's own.
        device: device of a detector from the hub: ``auto``, ``cpu``, ``cuda``, ``mps``.

    Raises:
        ConfigError: there is no such detector.
        MissingExtraError: what it needs is not installed.
    """
    if name in PACKAGED:
        return PACKAGED[name](threshold)
    if any(importlib.util.find_spec(package) is None for package in ("torch", "transformers")):
        raise MissingExtraError(
            f"the detector {name!r} needs PyTorch and transformers",
            expected="the train extra",
            do="run in a checkout of Twofold: pip install -e '.[train]', or use one of "
            f"{', '.join(PACKAGED)}",
        )
    from twofold.detectors.hub import load_hub_detector

    return load_hub_detector(name, phrases, threshold, device, " or ".join(PACKAGED))
