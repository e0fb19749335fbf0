"""Text in pictures, by RapidOCR (PP-OCR models inside the package, run by ONNX Runtime)."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL.Image import Image

from twofold import telemetry
from twofold.detectors.contract import region_of
from twofold.errors import MissingExtraError
from twofold.posts import Region, RegionKind


class OcrDetector:
    """A detector of text in pictures.

    Args:
        threshold: lines with a lower score are left out; None for 0.5.

    Raises:
        MissingExtraError: RapidOCR is not installed.
    """

    kind: RegionKind = "text"

    def __init__(self, threshold: float | None = None) -> None:
        if importlib.util.find_spec("rapidocr") is None:
            raise MissingExtraError(
                "reading text in pictures needs rapidocr",
                expected="the ocr extra",
                do="run in a checkout of Twofold: pip install -e '.[ocr]'",
            )
        telemetry.switch_off()
        from rapidocr import RapidOCR

        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        self.threshold = 0.5 if threshold is None else threshold
        self.name = f"rapidocr {self.threshold}"
        self._engine: Any = RapidOCR()
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # again, since its constructor sets another

    def detect(self, pictures: Sequence[Image]) -> list[list[Region]]:
        """Lines of text of each picture, in reading order."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Image) -> list[Region]:
        result = self._engine(np.asarray(picture)[:, :, ::-1])  # BGR, as in OpenCV
        if result.txts is None:
            return []
        found = zip(result.boxes, result.txts, result.scores, strict=True)
        lines = [self._line(corners, text, score, picture.size) for corners, text, score in found]
        return [line for line in lines if line]

    def _line(self, corners: Any, text: str, score: float, size: tuple[int, int]) -> Region | None:
        if score < self.threshold or not text.strip():
            return None
        low, high = np.min(corners, 0), np.max(corners, 0)  # corners (4, 2) of a line that may be rotated
        return region_of([*map(float, low), *map(float, high)], size, text.strip(), float(score), self.kind)
