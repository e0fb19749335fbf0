"""Stored inputs, weights and outputs of the faithful forms of systems B and C.

The faithful forms were compared with the original implementations by loading the original weights:
emissions, logits and KL of C were equal, emissions of B within 1.5e-6 (the epsilon of a LayerNorm). Their
outputs are stored, so that this equality cannot be lost unnoticed. An archive holds numbers only:

    weights/NAME   a parameter
    inputs/NAME    words (B, W, D), mask, targets, and MODALITY/states, MODALITY/mask
    outputs/NAME   emissions, and each term of the loss

    python tests/faithful_references.py     writes them again: only if the original itself was misread.

Where a parameter is renamed, rename its key; the numbers stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.fusion import bottleneck_faithful, multigranular_faithful, variational
from twofold.fusion.bottleneck import Bottleneck, Regularisers
from twofold.fusion.contract import Fusion, ModalityStates
from twofold.fusion.multigranular import AuxiliaryTask, Multigranular, Sizes
from twofold.models.span_task import SpanTask

FOLDER = Path(__file__).parent / "references"
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
WIDTH, NEIGHBOURS, WIDTHS = 8, 3, {"whole": 6, "crops": 6}
Archive = dict[str, NDArray[np.generic]]


def _multigranular(augment: type[torch.nn.Module]) -> Fusion:
    auxiliary = AuxiliaryTask(SpanTask(WIDTH, LABELS), 0.5)
    sizes = Sizes(WIDTH, len(LABELS), {"picture": 6, "objects": 6}, 1)
    return multigranular_faithful.faithful(sizes, augment(WIDTH, NEIGHBOURS), auxiliary)


def _bottleneck(slot_size: int) -> Fusion:
    rule = Regularisers(variational.rolled_jsd, variational.mean_reduction, 1.0, 1.0, 1.0)
    sampling = variational.sample_in_training
    return bottleneck_faithful.faithful(WIDTH, len(LABELS), WIDTHS, slot_size, sampling, rule)


FORMS: dict[str, Callable[[], Fusion]] = {
    "multigranular_add": lambda: _multigranular(multigranular_faithful.OriginalAddedNeighbours),
    "multigranular_gate": lambda: _multigranular(multigranular_faithful.OriginalGatedNeighbours),
    "bottleneck_entities": lambda: _bottleneck(1),
    "bottleneck_relations": lambda: _bottleneck(2),
}


def make_inputs(fusion: Fusion, slots: bool) -> Archive:
    """Posts of seven, four and one word; the second lacks some objects or crops, the third has no picture."""
    draw = np.random.default_rng(1)
    lengths, elements = np.array([7, 4, 1]), {"picture": 9, "objects": 4, "whole": 1, "crops": 3}
    inputs: Archive = {
        "words": draw.normal(size=(3, 7, WIDTH)).astype(np.float32),
        "mask": np.arange(7) < lengths[:, None],
        "targets": draw.choice([0, 1, 3], (3, 1 if slots else 7)),  # no I- tag without a B- tag
    }
    if slots:
        inputs["slots"] = np.array([[[1, 5]], [[0, 3]], [[0, 0]]])
    for name in fusion.modalities[1:]:
        count = 7 if name == "neighbours" else elements[name]
        mask = inputs["mask"] if name == "neighbours" else np.arange(3)[:, None] < np.full((1, count), 2)
        if name in ("objects", "crops"):
            mask[1, 2:] = False
        size = (3, count, NEIGHBOURS if name == "neighbours" else 6)
        inputs[f"{name}/states"] = draw.normal(size=size).astype(np.float32)
        inputs[f"{name}/mask"] = mask
    return inputs


def run(fusion: Fusion, inputs: Archive) -> dict[str, torch.Tensor]:
    """Emissions and each term of the loss, in evaluation mode and double precision."""
    given = {name: torch.from_numpy(np.array(value)) for name, value in inputs.items()}
    given = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    modalities = {
        name: ModalityStates(given[f"{name}/states"], given[f"{name}/mask"]) for name in fusion.modalities[1:]
    }
    fusion = fusion.double().eval()
    output = fusion(given["words"], given["mask"], modalities, given.get("slots"))
    slot_mask = given["mask"] if "slots" not in given else torch.ones(3, 1, dtype=torch.bool)
    terms = {name: fusion.loss(output, given["targets"], slot_mask) for name in _terms(fusion)}
    return {"emissions": output.emissions, **terms}


def numbers(outputs: dict[str, torch.Tensor]) -> Archive:
    """Outputs as they are stored."""
    return {name: value.detach().numpy() for name, value in outputs.items()}


def _terms(fusion: Fusion) -> Iterator[str]:
    """Name of each term of the loss, while the fusion has that term alone."""
    if isinstance(fusion, Multigranular):
        yield "auxiliary"
        return
    assert isinstance(fusion, Bottleneck)
    rule, weights = fusion.regularisers, ("alignment_weight", "text_kl_weight", "picture_kl_weight")
    for weight in weights:
        fusion.regularisers = replace(rule, **{name: float(name == weight) for name in weights})
        yield weight.removesuffix("_weight")
    fusion.regularisers = rule


def read(name: str) -> tuple[Fusion, Archive, Archive]:
    """A form with its stored weights, its inputs and its outputs."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        parts: dict[str, Archive] = {"weights": {}, "inputs": {}, "outputs": {}}
        for key in archive.files:
            part, _, rest = key.partition("/")
            parts[part][rest] = archive[key]
    fusion = FORMS[name]().double()
    fusion.load_state_dict({key: torch.from_numpy(value) for key, value in parts["weights"].items()})
    return fusion, parts["inputs"], parts["outputs"]


def write(name: str) -> None:
    """Draw weights and inputs, and store them with the outputs."""
    draw, fusion = np.random.default_rng(0), FORMS[name]().double()
    weights = {
        key: (draw.normal(size=tuple(value.shape)) * 0.4).astype(np.float32)
        if value.is_floating_point()
        else value.numpy()
        for key, value in fusion.state_dict().items()
    }
    fusion.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in weights.items()})
    inputs = make_inputs(fusion, name.endswith("relations"))
    parts = {"weights": weights, "inputs": inputs, "outputs": numbers(run(fusion, inputs))}
    FOLDER.mkdir(exist_ok=True)
    flat = {f"{part}/{key}": value for part, values in parts.items() for key, value in values.items()}
    np.savez_compressed(FOLDER / f"{name}.npz", **flat)


if __name__ == "__main__":
    for form in FORMS:
        write(form)
