"""Picture encoders from the hub: vision transformers and convolutional networks that `transformers` loads.

CLIP and SigLIP (their vision towers), ViT, DeiT, BEiT, DINOv2 and its register variants, Swin: regions are
the patch tokens, without class and register tokens. ResNet, ConvNeXt and similar networks: regions are the
positions of the last feature map. The preparation of pictures is read from the model's image processor and
done by our own code, in training and at inference; torchvision is not needed.

Shapes: B pictures, S side of the input in pixels, N tokens, R regions, V width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel
from transformers.image_processing_base import ImageProcessingMixin

from twofold.encoders.contract import ImageEncoder
from twofold.encoders.hub import check_size, fingerprint, hub_errors
from twofold.errors import ConfigError
from twofold.preprocessing.images import PREPARATION, PictureSettings

_FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_MAX_SPECIAL_TOKENS = 16
"""Maximum number of class, distillation and register tokens before the patches of a transformer."""
_RESNET_CROPS_BELOW = 384


class HubImageEncoder(ImageEncoder):
    """A vision backbone of `transformers` whose states are used as regions.

    Args:
        backbone: module called as ``backbone(pixel_values=…)``, whose result has ``last_hidden_state``
            (B, N, V) or (B, V, h, w), or ``feature_maps``.
        settings: how pictures must be prepared.
        patch: side of a patch in pixels; 0 for a network without patches.

    Raises:
        ConfigError: its output cannot be used as regions.
    """

    def __init__(self, backbone: nn.Module, settings: PictureSettings, patch: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.settings = settings
        self.special = 0
        self.requires_grad_(False).train(False)
        side = settings.crop
        with torch.no_grad():
            states = self._states(torch.zeros(1, 3, side, side))
        self.special = _special_tokens(states.shape[1], side // patch if patch else 0)
        self.regions, self.width = states.shape[1] - self.special, states.shape[2]
        self.fingerprint = fingerprint(backbone.state_dict(), type(backbone).__name__, settings, PREPARATION)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S) to regions (B, R, V)."""
        return self._states(pixels)[:, self.special :]

    def _states(self, pixels: Tensor) -> Tensor:
        """All tokens (B, N, V), or the feature map as (B, h·w, V)."""
        output = self.backbone(pixel_values=pixels)
        maps = getattr(output, "feature_maps", None)
        states: Tensor = output.last_hidden_state if maps is None else maps[-1]
        return states.flatten(2).transpose(1, 2) if states.ndim == 4 else states


def _special_tokens(tokens: int, across: int) -> int:
    """Number of tokens before the patches, from the number of patches if it fits, else from a square grid."""
    for patches in (across * across, math.isqrt(tokens) ** 2):
        if patches and 0 <= tokens - patches <= _MAX_SPECIAL_TOKENS:
            return tokens - patches
    raise ConfigError(
        f"the encoder returns {tokens} states per picture",
        where="image_encoder",
        expected="those of a square grid of patches, and class and register tokens before them",
        do="use another vision model",
    )


def load_hub_image_encoder(name: str, embedded: str) -> HubImageEncoder:
    """Load a vision model.

    Args:
        name: a local folder, or a model's name on the hub.
        embedded: what works without a hub, for messages.

    Raises:
        ConfigError: it cannot be loaded, or is not a supported picture encoder.
    """
    with hub_errors(name, "image_encoder", embedded):
        config = AutoConfig.from_pretrained(name)
        config = getattr(config, "vision_config", config)  # of two towers, the vision tower
        settings = picture_settings(_processor(name), name)
        backbone = _backbone(name, config)
        check_size(backbone, name, "image_encoder")
        patch = getattr(config, "patch_size", 0)
        return HubImageEncoder(backbone, settings, patch if isinstance(patch, int) else 0)


def _backbone(name: str, config: Any) -> nn.Module:
    kind: Any = AutoModel
    if type(config) not in AutoModel._model_mapping:  # AutoBackbone itself queries the hub even for folders
        kind = AutoBackbone._model_mapping.get(type(config), AutoModel)
    backbone: nn.Module = kind.from_pretrained(name, config=config, dtype=torch.float32)
    return backbone


def _processor(name: str) -> Mapping[str, Any]:
    """Settings of the image processor; those of its file alone if its class needs torchvision."""
    try:
        settings: Mapping[str, Any] = AutoImageProcessor.from_pretrained(name, backend="pil").to_dict()
    except ImportError:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name)
    return settings


def picture_settings(processor: Mapping[str, Any], name: str = "") -> PictureSettings:
    """How pictures are prepared, from the settings of an image processor.

    Args:
        processor: its settings, with the defaults of its class filled in.
        name: name of the model, for messages.

    Raises:
        ConfigError: it needs a preparation that is not supported.
    """
    resize, crop, fit = _sizes(processor, name)
    mean, std = _normalisation(processor)
    number = int(processor.get("resample", 3))
    if number not in _FILTERS:
        raise ConfigError(
            f"the image processor of {name!r} resamples by filter {number}",
            where="image_encoder",
            expected=", ".join(f"{n} ({filter_})" for n, filter_ in _FILTERS.items()),
        )
    return PictureSettings(resize, crop, mean, std, fit=fit, resample=_FILTERS[number])


def _sizes(processor: Mapping[str, Any], name: str) -> tuple[int, int, str]:
    """Side after resizing, side after cropping, and how a picture is fitted."""
    size, crop = _sides(processor.get("size")), _sides(processor.get("crop_size"))
    cropped = crop.get("height") if processor.get("do_center_crop") else None
    if not processor.get("do_resize", True) or not ({"shortest_edge", "height"} & set(size)):
        raise ConfigError(
            f"the image processor of {name!r} resizes to {processor.get('size')!r}",
            where="image_encoder",
            expected="do_resize, and a size with shortest_edge, or with height and width",
        )
    if "shortest_edge" in size:
        return _by_shortest_edge(size["shortest_edge"], cropped, processor.get("crop_pct"))
    if size["height"] != size.get("width"):
        raise ConfigError(
            f"the image processor of {name!r} needs pictures of {size}",
            where="image_encoder",
            expected="a square",
        )
    return size["height"], min(cropped or size["height"], size["height"]), "squeeze"


def _by_shortest_edge(edge: int, cropped: int | None, crop_pct: float | None) -> tuple[int, int, str]:
    if crop_pct is None:
        return edge, min(cropped or edge, edge), "crop"
    # ConvNeXt's processor, ResNet's too: the centre of a larger picture, or a large one squeezed.
    return (int(edge / crop_pct), edge, "crop") if edge < _RESNET_CROPS_BELOW else (edge, edge, "squeeze")


def _sides(size: object) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {k: int(v) for k, v in size.items() if v is not None} if isinstance(size, Mapping) else {}


def _normalisation(processor: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation on the scale 0…255: (x·f − o − m) / s = (x − (m + o)/f) / (s/f)."""
    factor = float(processor.get("rescale_factor", 1 / 255)) if processor.get("do_rescale", True) else 1.0
    offset = 1.0 if processor.get("rescale_offset") else 0.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if processor.get("do_normalize", True):
        mean, std = tuple(processor["image_mean"]), tuple(processor["image_std"])
    return tuple((m + offset) / factor for m in mean), tuple(s / factor for s in std)
