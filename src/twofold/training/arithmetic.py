"""In which arithmetic the graphs of a model folder compute: 8 bits where that costs next to no F1 on dev."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.training.loop import Log
from twofold.training.quantise import quantise_graph
from twofold.training.quantise_pictures import Pixels, is_convolutional, quantise_pictures
from twofold.training.task import Metrics

MOST_F1_LOST = 0.2
"""Points of F1 on dev that arithmetic in 8 bits may cost; with more, only the weights are kept in 8 bits."""
_ON_THE_CARD = {"text": "arithmetic", "picture": "picture_arithmetic", "fusion": "fusion_arithmetic"}


def choose_arithmetic(
    folder: Path,
    weights: str,
    measure: Callable[[], Metrics],
    log: Log,
    pictures: Sequence[Pixels] = (),
    taken: Collection[str] = (),
) -> tuple[dict[str, Any], Metrics, Metrics]:
    """Make the graphs of a folder as small and fast as wanted.

    Tried in turn, until one costs less than `MOST_F1_LOST`: text, pictures and fusion in 8 bits, text and
    pictures, the text alone, none. A picture encoder that is not all convolutions stays as it is.

    Args:
        folder: with graphs in full precision.
        weights: as in the configuration.
        measure: gives metrics of the folder.
        log: gets a line for each that is tried.
        pictures: pixels on which ranges of the picture encoder are measured.
        taken: names of graphs that are another model's, and stay as they are.

    Returns:
        What the card says on their arithmetic; their metrics; and those of full precision.
    """
    full_precision = measure()
    if weights == "float32":
        return {"arithmetic": "float32"}, full_precision, full_precision
    whole = _set_aside(folder, taken)
    can = [
        name for name, graph in whole.items() if name != "picture" or (pictures and is_convolutional(graph))
    ]
    written: dict[str, bool] = {}
    for eight in [can[:n] for n in range(len(can), -1, -1)] if weights == "8bit" else [[]]:
        changed = [name for name in whole if written.get(name) != (name in eight)]
        for name in changed:
            graph, written[name] = whole[name], name in eight
            if name == "picture" and name in eight:
                quantise_pictures(graph, folder / "picture.onnx", pictures)
            else:
                quantise_graph(graph, folder / f"{name}.onnx", name in eight)
        measured = measure()
        change = round(mean_f1(measured["dev"]) - mean_f1(full_precision["dev"]), 2)
        which = f"8 bits for {' and '.join(eight)}" if eight else "float32"
        log(f"weights in 8 bits, arithmetic {which}: F1 on dev {change:+.2f} against full precision")
        if change > -MOST_F1_LOST:
            break
    for graph in whole.values():
        graph.unlink()
    card = {_ON_THE_CARD[name]: "8bit" if name in eight else "float32" for name in whole}
    return card | {"f1_change": change}, measured, full_precision


def _set_aside(folder: Path, taken: Collection[str]) -> dict[str, Path]:
    """Copies of the graphs, by name."""
    copies: dict[str, Path] = {}
    for name in _ON_THE_CARD:
        graph = folder / f"{name}.onnx"
        if name not in taken and graph.exists():
            copies[name] = Path(shutil.copyfile(graph, folder / f"{name}.float32"))
    return copies


def mean_f1(dev: Mapping[str, Any]) -> float:
    """F1 of all types together in per cent, the mean over dev files, each by its first way of counting."""
    found = [next(iter(counted.values()))["all"]["f1"] for counted in dev.values()]
    return float(sum(found) / len(found))
