"""Checks for NaN and infinite values in training.

They change nothing: a training without such values gives the same model with and without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from twofold.errors import TrainingError
from twofold.models.multimodal import Batch, MultimodalModel

_DO = "lower the learning rates (--head-lr, --encoder-lr, --crf-lr), and check the data: `twofold data check`"


def not_finite(what: str, where: str) -> TrainingError:
    """The error for a value that is not finite."""
    return TrainingError(what, where=where, expected="finite numbers", do=_DO)


def explain(value: Tensor, norm: Tensor, batch: Batch, model: MultimodalModel, where: str) -> TrainingError:
    """The error that names where non-finite values begin: in features, weights, the loss or its gradient.

    Args:
        value: the loss.
        norm: of the gradient.
        batch: training examples of the step.
        model: in training.
        where: epoch and step.
    """
    if name := next(_broken_inputs(batch), ""):
        return not_finite(f"features of the modality {name} hold NaN or infinite values", where)
    if name := first_broken(dict(model.named_parameters())):
        return not_finite(f"the weights {name} hold NaN or infinite values", where)
    if not torch.isfinite(value):
        return not_finite(f"the loss is {float(value)}", where)
    return not_finite(f"the norm of the gradient is {float(norm)}", where)


def first_broken(tensors: Mapping[str, Tensor]) -> str:
    """Name of the first tensor with NaN or infinite values; "" for none."""
    broken = (name for name, x in tensors.items() if x.is_floating_point() and not torch.isfinite(x).all())
    return next(broken, "")


def _broken_inputs(batch: Batch) -> Iterator[str]:
    found: Iterable[tuple[str, Tensor]] = ((name, s.states[s.mask]) for name, s in batch.states.items())
    return (name for name, states in found if not torch.isfinite(states).all())
