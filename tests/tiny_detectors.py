"""Random detectors of a few kilobytes, saved as the hub saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import transformers as hf
from tokenizers import pre_tokenizers

LABELS = {0: "dog", 1: "cup", 2: "N/A"}
_SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
_SIZE = {"size": {"shortest_edge": 48, "longest_edge": 64}}


def _favour_named_classes(bias: torch.nn.Parameter) -> None:
    """Make the class without a name improbable, and a class with a name probable."""
    with torch.no_grad():
        bias[2] -= 4.0
        bias[1] += 1.0


def _detr(folder: Path) -> None:
    backbone = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 12], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    config = hf.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=6, id2label=LABELS,
    )  # fmt: skip
    model = hf.DetrForObjectDetection(config)
    _favour_named_classes(model.class_labels_classifier.bias)
    model.save_pretrained(folder)
    hf.DetrImageProcessorPil(**_SIZE).save_pretrained(folder)


def _yolos(folder: Path) -> None:
    config = hf.YolosConfig(
        **_SMALL, image_size=[48, 64], patch_size=16, num_detection_tokens=6, id2label=LABELS
    )
    model = hf.YolosForObjectDetection(config)
    _favour_named_classes(model.class_labels_classifier.layers[-1].bias)
    model.save_pretrained(folder)
    hf.YolosImageProcessorPil(**_SIZE).save_pretrained(folder)


def _owl(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*alphabet, *(f"{c}</w>" for c in alphabet), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = hf.CLIPTokenizer(vocab={n: i for i, n in enumerate(names)}, merges=[])
    text = {**_SMALL, "vocab_size": len(names), "max_position_embeddings": 16}
    text |= {"bos_token_id": len(names) - 2, "eos_token_id": len(names) - 1, "pad_token_id": 0}
    vision = {**_SMALL, "image_size": 48, "patch_size": 16}
    config = hf.OwlViTConfig(text_config=text, vision_config=vision, projection_dim=16)
    hf.OwlViTForObjectDetection(config).save_pretrained(folder)
    pictures = hf.OwlViTImageProcessorPil(
        size={"height": 48, "width": 48}, crop_size={"height": 48, "width": 48}
    )
    hf.OwlViTProcessor(pictures, tokenizer).save_pretrained(folder)


def _grounding_dino(folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "person", "place", *letters]
    tokenizer = hf.BertTokenizer(vocab={n: i for i, n in enumerate([*words, *(f"##{c}" for c in letters)])})
    backbone = hf.SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[2, 2, 2, 2], window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = hf.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **_SMALL)
    config = hf.GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        num_queries=6, max_text_len=32, num_feature_levels=4, use_timm_backbone=False,
        use_pretrained_backbone=False, backbone=None,
    )  # fmt: skip
    hf.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    pictures = hf.GroundingDinoImageProcessorPil(**_SIZE)
    hf.GroundingDinoProcessor(pictures, tokenizer).save_pretrained(folder)


CLASSES: dict[str, Callable[[Path], None]] = {"detr": _detr, "yolos": _yolos}
PHRASES: dict[str, Callable[[Path], None]] = {"owlvit": _owl, "grounding-dino": _grounding_dino}


def save_detector(name: str, folder: Path) -> Path:
    """Make a detector and its processor, and save both into a folder."""
    torch.manual_seed(0)
    (CLASSES | PHRASES)[name](folder)
    return folder
