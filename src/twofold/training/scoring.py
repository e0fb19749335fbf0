"""Dev scores during training: the loop's own quick figure for choosing an epoch.

The figures that are reported come from the exported model through the one inference path; this one
agrees with them on all but long posts, whose windows are decoded apart here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.corpora.bio import spans_of
from twofold.models.tagger import Tagger
from twofold.training.examples import Example, collate

Spans = set[tuple[int, int, str]]


@torch.inference_mode()
def dev_f1(model: Tagger, examples: Sequence[Example], features: NDArray[np.float16]) -> float:
    """Span F1 in per cent over words, micro-averaged.

    Args:
        model: with a decoder.
        examples: with gold tags.
        features: table of picture features.
    """
    model.eval()
    device = next(model.parameters()).device
    right = found = there = 0
    order = sorted(examples, key=lambda example: len(example.window.ids))
    for begin in range(0, len(order), 64):
        group = order[begin : begin + 64]
        batch = collate(group, features, model.text.pad_id).to(device)
        for example, tags in zip(
            group, model.crf.decode(model(batch).emissions, batch.word_mask), strict=True
        ):
            gold, predicted = _spans(example.tags, model.crf.labels), _spans(tags, model.crf.labels)
            right, found, there = right + len(gold & predicted), found + len(predicted), there + len(gold)
    return 200 * right / (found + there) if found + there else 0.0


def _spans(tags: Sequence[int], labels: Sequence[str]) -> Spans:
    return {(span[0], span[1], span[2]) for span in spans_of([labels[tag] for tag in tags])}
