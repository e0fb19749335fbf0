"""The interface of picture encoders: a frozen backbone that returns regions and defines their preparation.

Shapes: B pictures, S side of the input in pixels, R regions, V width.
"""

from __future__ import annotations

from torch import Tensor, nn

from twofold.preprocessing.images import PictureSettings


class ImageEncoder(nn.Module):
    """A frozen backbone whose last feature map is used as regions.

    It is never trained, its normalisation layers always use their stored statistics, and its features
    may therefore be computed once and cached.

    Attributes:
        settings: how pictures must be prepared.
        regions: R.
        width: V.
        fingerprint: identifies backbone and preparation; the key of cached features.
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
