"""Optimiser, learning-rate schedule, running average of weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from twofold.config import TrainingConfig
from twofold.models.multimodal import MultimodalModel


def make_optimiser(model: MultimodalModel, config: TrainingConfig) -> AdamW:
    """AdamW with separate learning rates for encoder, head and CRF, and no weight decay on biases and
    norms."""
    if config.encoder_lr == 0:
        model.text.requires_grad_(False)
    elif config.freeze_embeddings:
        model.text.pretrained_embeddings.requires_grad_(False)
    groups = []
    for part, rate in (("text", config.encoder_lr), ("head", config.head_lr), ("crf", config.crf_lr)):
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and _part(n) == part]
        for decay in (True, False):
            chosen = [p for _, p in named if (p.ndim > 1) == decay]
            groups.append({"params": chosen, "lr": rate, "weight_decay": config.weight_decay * decay})
    return AdamW([g for g in groups if g["params"]], fused=True)


def _part(name: str) -> str:
    name = name.removeprefix("relations.")
    if name.startswith("text."):
        return "text"
    scale = name.removeprefix("fusion.").removeprefix("fusion.") in ("scale", "bias")
    crf = name.startswith("head.") or ".crf." in name or scale
    return "crf" if crf else "head"


def make_schedule(optimiser: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Linear warm-up over the share ``warmup`` of all steps, then linear decay to 0."""
    rise = max(1, int(steps * warmup))

    def factor(step: int) -> float:
        return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))

    return LambdaLR(optimiser, factor)


class Average:
    """Exponential moving average of the trainable weights.

    Args:
        model: whose weights are averaged.
        decay: weight of the average at each step, reached gradually; 0 keeps the last weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update with the weights after a step."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 6))
        current = dict(model.named_parameters())
        torch._foreach_lerp_(list(self.weights.values()), [current[n] for n in self.weights], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Swap the model's weights with the averaged ones; a second call undoes the first."""
        for name, parameter in model.named_parameters():
            if name in self.weights:
                kept: Tensor = self.weights[name].clone()
                self.weights[name].copy_(parameter)
                parameter.copy_(kept)

    def state(self) -> dict[str, Tensor]:
        """Averaged weights by name."""
        return self.weights


def trainable(model: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters that are trained."""
    return (p for p in model.parameters() if p.requires_grad)
