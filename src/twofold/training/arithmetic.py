"""Choose the arithmetic of a model folder's graphs: 8-bit where that costs next to no F1 on dev."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.training.loop import Log
from twofold.training.quantise import quantise_graph
from twofold.training.quantise_pictures import Pixels, is_convolutional, quantise_pictures
from twofold.training.task import Metrics

MAX_F1_LOSS = 0.2
"""Loss of F1 on dev, in points, below which 8-bit arithmetic is kept; else only the weights have 8 bits."""
_CARD_KEYS = {"text": "arithmetic", "picture": "picture_arithmetic", "fusion": "fusion_arithmetic"}


def choose_arithmetic(
    folder: Path,
    weights: str,
    measure: Callable[[], Metrics],
    log: Log,
    pictures: Sequence[Pixels] = (),
    shared: Collection[str] = (),
) -> tuple[dict[str, Any], Metrics, Metrics]:
    """Quantise the graphs of a folder as configured.

    8-bit arithmetic is tried for text, pictures and fusion, then for text and pictures, then for the text
    alone, then for none, until it costs less than `MAX_F1_LOSS`. A picture encoder with matrix products keeps
    float32 arithmetic.

    Args:
        folder: with graphs in full precision.
        weights: ``weights`` of the configuration.
        measure: computes the metrics of the folder.
        log: called with a line for each trial.
        pictures: pixels on which the activation ranges of the picture encoder are measured.
        shared: names of graphs that belong to another model and are left unchanged.

    Returns:
        The entries of the model card on arithmetic; the metrics of the written graphs; the metrics of full
        precision.
    """
    full_precision = measure()
    if weights == "float32":
        return {"arithmetic": "float32"}, full_precision, full_precision
    originals = _copy_graphs(folder, shared)
    quantisable = [
        name
        for name, graph in originals.items()
        if name != "picture" or (pictures and is_convolutional(graph))
    ]
    written: dict[str, bool] = {}
    for chosen in [quantisable[:n] for n in range(len(quantisable), -1, -1)] if weights == "8bit" else [[]]:
        changed = [name for name in originals if written.get(name) != (name in chosen)]
        for name in changed:
            graph, written[name] = originals[name], name in chosen
            if name == "picture" and name in chosen:
                quantise_pictures(graph, folder / "picture.onnx", pictures)
            else:
                quantise_graph(graph, folder / f"{name}.onnx", name in chosen)
        measured = measure()
        change = round(mean_f1(measured["dev"]) - mean_f1(full_precision["dev"]), 2)
        which = f"8 bits for {' and '.join(chosen)}" if chosen else "float32"
        log(f"weights in 8 bits, arithmetic {which}: F1 on dev {change:+.2f} against full precision")
        if change > -MAX_F1_LOSS:
            break
    for graph in originals.values():
        graph.unlink()
    card = {_CARD_KEYS[name]: "8bit" if name in chosen else "float32" for name in originals}
    return card | {"f1_change": change}, measured, full_precision


def _copy_graphs(folder: Path, shared: Collection[str]) -> dict[str, Path]:
    """Copy the graphs in full precision; returns the copies by name."""
    copies: dict[str, Path] = {}
    for name in _CARD_KEYS:
        graph = folder / f"{name}.onnx"
        if name not in shared and graph.exists():
            copies[name] = Path(shutil.copyfile(graph, folder / f"{name}.float32"))
    return copies


def mean_f1(dev: Mapping[str, Any]) -> float:
    """F1 of all types together in per cent, averaged over dev files, each with its first metric."""
    found = [next(iter(metrics.values()))["all"]["f1"] for metrics in dev.values()]
    return float(sum(found) / len(found))
