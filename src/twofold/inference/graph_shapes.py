"""Input and output shapes of a model folder's graphs, checked when a graph is opened.

The expected shapes follow from the folder's configuration, so that a swapped graph or an edited configuration
is an error that names both shapes. No graph is run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twofold.errors import ModelError
from twofold.model_folder.config import RENEW, FolderConfig
from twofold.preprocessing.modalities import VISUAL

Shape = tuple[int | None, ...]
"""Size of each axis; None for any size."""


@dataclass(frozen=True, slots=True)
class GraphShapes:
    """Shapes of one graph.

    Attributes:
        inputs: of each input, by name.
        output: of the first output.
    """

    inputs: Mapping[str, Shape]
    output: Shape


def expected_shapes(config: FolderConfig) -> dict[str, GraphShapes]:
    """Shapes of each graph ("text", "picture", "fusion") under a configuration."""
    text, picture = config.text, config.picture
    rows: Shape = (None, None)
    shapes = {
        "text": GraphShapes({"input_ids": rows, "attention_mask": rows}, (None, None, text.hidden_size))
    }
    if picture is not None:
        side = picture.settings.crop
        shapes["picture"] = GraphShapes(
            {"pixels": (None, 3, side, side)}, (None, picture.regions, picture.hidden_size)
        )
    inputs: dict[str, Shape] = {"words": (None, None, text.hidden_size), "shapes": rows, "word_mask": rows}
    if config.conventions.size:
        inputs["convention"] = (None, config.conventions.size)
    if config.relation is not None:
        inputs["slots"] = (None, None, None)
    for name in config.modalities[1:]:
        width = picture.hidden_size if name in VISUAL and picture else None
        inputs |= {name: (None, None, width), f"{name}_mask": rows}
    shapes["fusion"] = GraphShapes(inputs, (None, None, len(config.labels)))
    return shapes


def check_graph(session: Any, expected: GraphShapes, path: Path) -> None:
    """Check the shapes of an open graph.

    Args:
        session: of ONNX Runtime.
        expected: shapes under the folder's configuration.
        path: file of the graph, for the message.

    Raises:
        ModelError: inputs or output differ from the expected shapes.
    """
    found = {item.name: item.shape for item in session.get_inputs()}
    if found.keys() != expected.inputs.keys():
        _raise_mismatch(path, f"the inputs of the graph are {_names(found)}", _names(expected.inputs))
    for name, shape in expected.inputs.items():
        if not _fits(found[name], shape):
            _raise_mismatch(
                path,
                f"the input {name} of the graph has the shape {_formatted(found[name])}",
                _formatted(shape),
            )
    output = session.get_outputs()[0]
    if not _fits(output.shape, expected.output):
        _raise_mismatch(
            path,
            f"the output {output.name} of the graph has the shape {_formatted(output.shape)}",
            _formatted(expected.output),
        )


def _fits(found: Sequence[Any], expected: Shape) -> bool:
    """Whether sizes agree where both are known; an axis of any size has a name in the graph."""
    if len(found) != len(expected):
        return False
    pairs = zip(found, expected, strict=True)
    return all(size == wanted for size, wanted in pairs if isinstance(size, int) and wanted is not None)


def _names(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))


def _formatted(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("…" if size is None else str(size) for size in shape) + ")"


def _raise_mismatch(path: Path, what: str, expected: str) -> None:
    raise ModelError(what[:300], where=str(path), expected=f"{expected}, as in config.json", do=RENEW)
