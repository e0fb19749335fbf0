"""Random vision models of a few kilobytes, one per family, saved as the hub saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

SIDE = 32
_SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
_ENCODER = {**_SMALL, "image_size": SIDE, "patch_size": 8}
_TEXT = {**_SMALL, "vocab_size": 20, "max_position_embeddings": 8}
_CROPPED = {"size": {"shortest_edge": SIDE + 4}, "crop_size": {"height": SIDE, "width": SIDE}}
_SQUARE = {"size": {"height": SIDE, "width": SIDE}}


def _clip() -> tuple[hf.PreTrainedModel, object]:
    config = hf.CLIPConfig(text_config=_TEXT, vision_config=_ENCODER, projection_dim=8)
    return hf.CLIPModel(config), hf.CLIPImageProcessorPil(**_CROPPED)


def _clip_vision() -> tuple[hf.PreTrainedModel, object]:
    return hf.CLIPVisionModel(hf.CLIPVisionConfig(**_ENCODER)), hf.CLIPImageProcessorPil(**_CROPPED)


def _siglip() -> tuple[hf.PreTrainedModel, object]:
    config = hf.SiglipConfig(text_config=_TEXT, vision_config=_ENCODER)
    return hf.SiglipModel(config), hf.SiglipImageProcessorPil(**_SQUARE)


def _resnet() -> tuple[hf.PreTrainedModel, object]:
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 2], layer_type="bottleneck")
    processor = hf.ConvNextImageProcessorPil(size={"shortest_edge": SIDE}, crop_pct=0.875)
    return hf.ResNetModel(config), processor


def _convnext() -> tuple[hf.PreTrainedModel, object]:
    config = hf.ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2)
    return hf.ConvNextModel(config), hf.ConvNextImageProcessorPil(size={"shortest_edge": SIDE}, crop_pct=1.0)


def _swin() -> tuple[hf.PreTrainedModel, object]:
    config = hf.SwinConfig(
        image_size=SIDE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    return hf.SwinModel(config), hf.ViTImageProcessorPil(**_SQUARE)


def _dinov2(registers: int) -> tuple[hf.PreTrainedModel, object]:
    config = {**_SMALL, "image_size": 48, "patch_size": 8}  # larger than the pictures: interpolated
    del config["intermediate_size"]
    processor = hf.BitImageProcessorPil(**_CROPPED)
    if registers:
        kind = hf.Dinov2WithRegistersConfig(**config, num_register_tokens=registers)
        return hf.Dinov2WithRegistersModel(kind), processor
    return hf.Dinov2Model(hf.Dinov2Config(**config)), processor


VISION: dict[str, tuple[Callable[[], tuple[hf.PreTrainedModel, Any]], int, int]] = {
    "clip": (_clip, 16, 16),
    "clip-vision": (_clip_vision, 16, 16),
    "siglip": (_siglip, 16, 16),
    "vit": (lambda: (hf.ViTModel(hf.ViTConfig(**_ENCODER)), hf.ViTImageProcessorPil(**_SQUARE)), 16, 16),
    "deit": (lambda: (hf.DeiTModel(hf.DeiTConfig(**_ENCODER)), hf.DeiTImageProcessorPil(**_CROPPED)), 16, 16),
    "beit": (lambda: (hf.BeitModel(hf.BeitConfig(**_ENCODER)), hf.BeitImageProcessorPil(**_SQUARE)), 16, 16),
    "dinov2": (lambda: _dinov2(0), 16, 16),
    "dinov2-registers": (lambda: _dinov2(4), 16, 16),
    "swin": (_swin, 16, 16),
    "resnet": (_resnet, 16, 12),
    "convnext": (_convnext, 16, 12),
}
"""How each family is made, and its R and V."""


def save_vision(name: str, folder: Path) -> tuple[Path, hf.PreTrainedModel, object]:
    """Make a model and its image processor, and save both into a folder."""
    torch.manual_seed(0)
    model, processor = VISION[name][0]()
    model = model.eval()
    for module in model.modules():  # statistics and scales that are not those of a fresh model
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, model, processor
