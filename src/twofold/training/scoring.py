"""Dev scores during training, through the same windows, decoder and scorer as in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.models.tagger import Tagger
from twofold.training.examples import Example, collate


class Emissions(NamedTuple):
    """Emissions of one post's core words, (W, K)."""

    post: int
    values: NDArray[np.float32]


@torch.inference_mode()
def read_all(
    model: Tagger, examples: Sequence[Example], features: NDArray[np.float16], device: torch.device
) -> Iterator[Emissions]:
    """Emissions of each post in the order of the examples, windows put together again."""
    model.eval()
    kept: dict[int, NDArray[np.float32]] = {}
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].window.ids))
    for begin in range(0, len(order), 64):
        group = order[begin : begin + 64]
        batch = collate([examples[i] for i in group], features, model.text.pad_id, with_tags=False)
        emissions = model(batch.to(device)).emissions.float().cpu().numpy()
        for row, i in enumerate(group):
            window = examples[i].window
            kept[i] = emissions[row, window.keep_lo - window.lo : window.keep_hi - window.lo]
    begin = 0
    while begin < len(examples):
        end = begin
        while end < len(examples) and examples[end].post == examples[begin].post:
            end += 1
        yield Emissions(examples[begin].post, np.concatenate([kept[i] for i in range(begin, end)]))
        begin = end
