"""From a trained model to the graphs of a model folder, in full precision or 8-bit.

Three graphs: text (used for alt texts, too), picture, fusion. As the encoders are separate, posts without a
picture need no picture encoder, and features can be cached.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from twofold.encoders.image import ImageEncoder
from twofold.encoders.text import TextEncoder
from twofold.fusion.contract import ModalityStates
from twofold.models.multimodal import MultimodalModel
from twofold.models.pair_states import ENDS, PairFusion
from twofold.preprocessing.semantic_augmentation import MODALITY as ALIGNED
from twofold.training.cpu import eager_attention

Axes = dict[int, object]


class _FusionGraph(nn.Module):
    """The part of a model after the encoders, with flat inputs and outputs.

    Inputs: words (B, W, D), shapes (B, W), word_mask (B, W), the convention (B, F) of models that have one,
    the slots (B, S, P) where P is above 1, then states (B, N, V) and mask (B, N) of each modality.

    Args:
        model: a tagger or a relation classifier.
        convention: whether a convention is an input.
        slots: whether slots are an input.
    """

    def __init__(self, model: MultimodalModel, convention: bool, slots: bool) -> None:
        super().__init__()
        self.model, self.convention, self.slots = model, convention, slots
        self.names = list(model.fusion.modalities[1:])

    def forward(self, words: Tensor, shapes: Tensor, word_mask: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        """Return emissions (B, S, K); and evidence, fused and share where the fusion has them."""
        rest = list(flat)
        convention = rest.pop(0) if self.convention else None
        slots = rest.pop(0) if self.slots else None
        modalities = {n: ModalityStates(rest[2 * i], rest[2 * i + 1]) for i, n in enumerate(self.names)}
        output = self.model.fuse(words, shapes, word_mask, modalities, slots, convention)
        if output.evidence is None or output.pooled is None or output.share is None:
            return (output.emissions,)
        return output.emissions, output.evidence, output.pooled, output.share


def export_text(encoder: TextEncoder, path: Path) -> None:
    """Write text.onnx: input_ids, attention_mask (B, T) -> states (B, T, D)."""
    ids = torch.ones(2, 7, dtype=torch.long)
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    axes: Axes = {0: Dim("posts"), 1: Dim("pieces", max=encoder.max_pieces)}
    with eager_attention(encoder):
        _export(encoder, (ids, mask), ["input_ids", "attention_mask"], ["states"], (axes, axes), path)


def export_image(encoder: ImageEncoder, path: Path) -> None:
    """Write picture.onnx: pixels (B, 3, S, S) -> regions (B, R, V)."""
    size = encoder.settings.crop
    pixels = torch.zeros(2, 3, size, size)
    _export(encoder, (pixels,), ["pixels"], ["regions"], ({0: Dim("pictures")},), path)


def export_fusion(
    model: MultimodalModel, widths: Sequence[int], path: Path, slot_size: int = 1, conventions: int = 0
) -> None:
    """Write fusion.onnx; inputs and outputs as in `_FusionGraph`.

    Args:
        model: a tagger or a relation classifier.
        widths: V of each modality besides the text.
        path: of the graph.
        slot_size: P, words in a slot; with levitated markers the words that name a pair.
        conventions: F features of a convention; 0 for a model without conventions.
    """
    posts, words = Dim("posts"), Dim("words")
    mask = torch.ones(2, 6, dtype=torch.bool)
    inputs: list[Tensor] = [torch.randn(2, 6, model.text.width), torch.ones(2, 6, dtype=torch.long), mask]
    names = ["words", "shapes", "word_mask"]
    axes: list[Axes] = [{0: posts, 1: words}] * 3
    graph = _FusionGraph(model, conventions > 0, slot_size > 1)
    if conventions:
        inputs.append(torch.ones(2, conventions))
        names.append("convention")
        axes.append({0: posts})
    if slot_size > 1:
        levitated = isinstance(model.fusion, PairFusion)
        slot_size, pairs = (ENDS, 3) if levitated else (slot_size, 1)
        inputs.append(torch.arange(2 * pairs * slot_size).remainder(6).view(2, pairs, slot_size))
        names.append("slots")
        axes.append({0: posts, 1: Dim("pairs")} if levitated else {0: posts})
    for n, (name, width) in enumerate(zip(model.fusion.modalities[1:], widths, strict=True)):
        size, count = (6, words) if name == ALIGNED else (7 + n, Dim(f"elements_{name}"))
        inputs += [torch.randn(2, size, width), torch.ones(2, size, dtype=torch.bool)]
        names += [name, f"{name}_mask"]
        axes += [{0: posts, 1: count}] * 2
    outputs = ["emissions", "evidence", "fused", "share"][: len(graph(*inputs))]
    shapes = (*axes[:3], tuple(axes[3:])) if axes[3:] else tuple(axes)
    _export(graph, tuple(inputs), names, outputs, shapes, path)


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    names: list[str],
    outputs: list[str],
    axes: tuple[object, ...],
    path: Path,
) -> None:
    module = module.eval()
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they log every node
        logging.getLogger(name).setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            module,
            inputs,
            input_names=names,
            output_names=outputs,
            dynamic_shapes=axes,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    strip_exporter_metadata(path)


def strip_exporter_metadata(path: Path) -> None:
    """Remove the metadata of the exporter from a graph: source lines and paths of the code that exported it.

    They are not needed, reveal paths, and make graphs with the same weights differ, so that two models could
    not share one.
    """
    model = onnx.load(path)
    graph = model.graph
    nodes = [*graph.node, *(node for function in model.functions for node in function.node)]
    values = [*graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for part in (*nodes, *values, graph, model):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    path.write_bytes(model.SerializeToString(deterministic=True))
