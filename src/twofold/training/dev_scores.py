"""Dev scores during training, by which the best epoch is chosen.

Reported scores come from the exported model at inference. These agree with them except for long posts,
whose windows are decoded separately here, and for the numerical precision of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from twofold.corpora.bio import spans_of
from twofold.models.multimodal import MultimodalModel
from twofold.training.examples import Example, FeatureTable, collate

Spans = set[tuple[int, int, str]]
Score = Callable[[MultimodalModel, Sequence[Example], Mapping[str, FeatureTable]], float]


def span_f1(model: MultimodalModel, examples: Sequence[Example], tables: Mapping[str, FeatureTable]) -> float:
    """Span F1 in per cent over words, micro-averaged.

    Args:
        model: a tagger.
        examples: with gold tags.
        tables: features of modalities, see `collate`.
    """
    correct = predicted_count = gold_count = 0
    for example, tags in _decoded(model, examples, tables):
        gold, predicted = _spans(example.targets, model), _spans(tags, model)
        correct += len(gold & predicted)
        predicted_count, gold_count = predicted_count + len(predicted), gold_count + len(gold)
    return _f1(correct, predicted_count, gold_count)


def class_f1(
    model: MultimodalModel, examples: Sequence[Example], tables: Mapping[str, FeatureTable]
) -> float:
    """F1 in per cent over slots, micro-averaged without the class ``None``, as MNRE is scored.

    Args:
        model: a relation classifier.
        examples: with gold classes.
        tables: features of modalities, see `collate`.
    """
    none = list(model.head.labels).index("None") if "None" in model.head.labels else -1
    correct = predicted_count = gold_count = 0
    for example, classes in _decoded(model, examples, tables):
        for gold, predicted in zip(example.targets, classes, strict=True):
            correct += gold == predicted != none
            predicted_count, gold_count = predicted_count + (predicted != none), gold_count + (gold != none)
    return _f1(correct, predicted_count, gold_count)


@torch.inference_mode()
def _decoded(
    model: MultimodalModel, examples: Sequence[Example], tables: Mapping[str, FeatureTable]
) -> Iterator[tuple[Example, list[int]]]:
    model.eval()
    device = next(model.parameters()).device
    order = sorted(examples, key=lambda example: len(example.window.ids))
    for begin in range(0, len(order), 64):
        group = order[begin : begin + 64]
        batch = collate(group, tables, model.text.pad_id).to(device)
        yield from zip(group, model.head.decode(model(batch).emissions, batch.target_mask), strict=True)


def _spans(tags: Sequence[int], model: MultimodalModel) -> Spans:
    return {(span[0], span[1], span[2]) for span in spans_of([model.head.labels[tag] for tag in tags])}


def _f1(correct: int, predicted: int, gold: int) -> float:
    return 200 * correct / (predicted + gold) if predicted + gold else 0.0
