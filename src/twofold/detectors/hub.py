"""Detectors from the hub: of fixed classes (DETR and similar models), or of any phrases (Grounding DINO,
OWL-ViT).

They run in PyTorch, on a GPU if there is one. A phrase detector returns the region that matches a phrase
best, whether or not the picture shows anything of the kind; MMIB uses the entity types as phrases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL.Image import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
)

from twofold.detectors.contract import Detector, region_of
from twofold.encoders.hub import hub_errors
from twofold.errors import ConfigError
from twofold.posts import Region, RegionKind

PHRASES = ("person", "location", "organization", "miscellaneous")
"""Phrases to detect by default: the entity types in words, as for MMIB's crops."""

_NO_NAME = ("", "N/A")
"""Labels of class numbers without a name."""


class ClassDetector:
    """A detector of fixed classes.

    Args:
        name: of the model.
        model: of `transformers`.
        processor: its image processor.
        threshold: regions with a lower score are left out; None for 0.5.
        device: where it runs.
    """

    kind: RegionKind = "object"

    def __init__(
        self, name: str, model: Any, processor: Any, threshold: float | None, device: torch.device
    ) -> None:
        self.threshold = 0.5 if threshold is None else threshold
        self.name = f"{name} {self.threshold}"
        self._model, self._processor, self._device = model.to(device).eval(), processor, device

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Image]) -> list[list[Region]]:
        """Regions of each picture."""
        inputs = self._processor(images=list(pictures), return_tensors="pt").to(self._device)
        found = self._processor.post_process_object_detection(
            self._model(**inputs), threshold=self.threshold, target_sizes=_heights_and_widths(pictures)
        )
        names: Mapping[int, str] = self._model.config.id2label
        labels = [[names[int(number)] for number in result["labels"]] for result in found]
        return [_regions(*item, self.kind) for item in zip(found, labels, pictures, strict=True)]


class PhraseDetector:
    """A detector of given phrases.

    Args:
        name: of the model.
        model: of `transformers`.
        processor: its processor of texts and pictures.
        phrases: what to detect.
        threshold: regions with a lower score are left out; None for the model's usual one.
        device: where it runs.
    """

    kind: RegionKind = "phrase"

    def __init__(
        self,
        name: str,
        model: Any,
        processor: Any,
        phrases: Sequence[str],
        threshold: float | None,
        device: torch.device,
    ) -> None:
        self.phrases, self.threshold = list(phrases), threshold
        self.name = f"{name} {threshold} {', '.join(phrases)}"
        self._model, self._processor, self._device = model.to(device).eval(), processor, device

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Image]) -> list[list[Region]]:
        """Regions of each picture."""
        phrases = [self.phrases] * len(pictures)
        inputs = self._processor(images=list(pictures), text=phrases, return_tensors="pt", padding=True)
        options: dict[str, Any] = {} if self.threshold is None else {"threshold": self.threshold}
        found = self._processor.post_process_grounded_object_detection(
            self._model(**inputs.to(self._device)),
            target_sizes=_heights_and_widths(pictures),
            text_labels=phrases,
            **options,
        )
        labels = [[phrase_of(label, self.phrases) for label in result["text_labels"]] for result in found]
        return [_regions(*item, self.kind) for item in zip(found, labels, pictures, strict=True)]


def phrase_of(label: str, phrases: Sequence[str]) -> str:
    """The phrase that a label matches, since some models return only the words that match; "" for none."""
    words = _words(label)
    shared = {phrase: len(words & _words(phrase)) + (phrase == label) for phrase in phrases}
    best = max(phrases, key=shared.__getitem__)
    return best if shared[best] else ""


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _heights_and_widths(pictures: Sequence[Image]) -> list[tuple[int, int]]:
    return [(picture.height, picture.width) for picture in pictures]


def _regions(
    result: Mapping[str, Any], labels: Sequence[str], picture: Image, kind: RegionKind
) -> list[Region]:
    rows = zip(result["boxes"].tolist(), labels, result["scores"].tolist(), strict=True)
    found = [
        region_of(box, picture.size, label, score, kind)
        for box, label, score in rows
        if label not in _NO_NAME
    ]
    return sorted((region for region in found if region), key=lambda region: -region.score)


def load_hub_detector(
    name: str, phrases: Sequence[str], threshold: float | None, device: str, packaged: str
) -> Detector:
    """Load a detector of the type that its configuration names.

    Args:
        name: a local folder, or a model's name on the hub.
        phrases: what a phrase detector detects; () for `PHRASES`.
        threshold: regions with a lower score are left out; None for the detector's own.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        packaged: what works without a hub, for messages.

    Raises:
        ConfigError: it cannot be loaded, or is not a detector.
    """
    torch_device = _device(device)
    with hub_errors(name, "--detector", packaged):
        config = AutoConfig.from_pretrained(name)
        if type(config) in AutoModelForZeroShotObjectDetection._model_mapping:
            model = AutoModelForZeroShotObjectDetection.from_pretrained(name, dtype=torch.float32)
            processor = AutoProcessor.from_pretrained(name, backend="pil")
            return PhraseDetector(name, model, processor, phrases or PHRASES, threshold, torch_device)
        if type(config) not in AutoModelForObjectDetection._model_mapping:
            raise ConfigError(
                f"{name!r} is a {config.model_type} model",
                where="--detector",
                expected=f"a detector (DETR, Grounding DINO, OWL-ViT, …), or {packaged}",
            )
        model = AutoModelForObjectDetection.from_pretrained(name, dtype=torch.float32)
        return ClassDetector(
            name, model, AutoImageProcessor.from_pretrained(name, backend="pil"), threshold, torch_device
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
