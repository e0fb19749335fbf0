"""Optimisations of training on a CPU that do not change what is learned: cheaper dropout, eager attention.

PyTorch draws a dropout mask on a CPU number by number; here one draw gives eight bytes, and a probability is
a multiple of 1/256 (0.1 becomes 26/256). For the short texts of posts eager attention is faster than
fused kernels, which are made for long texts. On a GPU neither is used.

Measured on the embedded encoder, 16 posts a step: docs/log.md. It works for any model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_LOWEST = -(2**63)


class ByteDropout(nn.Dropout):
    """Dropout with a mask of random bytes.

    Args:
        p: dropout probability, rounded to a multiple of 1/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.cut = min(255, round(256 * p))

    def forward(self, input: Tensor) -> Tensor:
        """Zero random elements of a tensor of any shape in training; the rest is scaled to keep the mean."""
        if not self.training or not self.cut:
            return input
        count = input.numel()
        draws = torch.empty(-(-count // 8), dtype=torch.int64).random_(_LOWEST, None)
        kept = draws.view(torch.uint8)[:count].view(input.shape) >= self.cut
        return input * kept.to(input.dtype).mul_(256 / (256 - self.cut))


@contextmanager
def cpu_optimised(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Optimise a model for training within the block; afterwards it has its own modules again."""
    if device.type != "cpu":
        yield
        return
    dropouts = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Dropout
    ]
    for parent, name, child in dropouts:
        setattr(parent, name, ByteDropout(child.p).train(child.training))
    try:
        with eager_attention(model):
            yield
    finally:
        for parent, name, child in dropouts:
            setattr(parent, name, child.train(parent.training))


@contextmanager
def eager_attention(model: nn.Module) -> Iterator[None]:
    """Use eager attention within the block: products and a softmax, in a traced graph without NaN checks."""
    encoders = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    attention = [encoder.config._attn_implementation for encoder in encoders]
    for encoder in encoders:
        encoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        for encoder, kind in zip(encoders, attention, strict=True):
            encoder.set_attn_implementation(kind)
