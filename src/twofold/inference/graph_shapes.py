"""Input and output shapes of a model folder's graphs, checked when a graph is opened.

They follow from the folder's configuration, so that an exchanged graph or an edited configuration is an error
that names both shapes. Nothing is run here.
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
        ModelError: inputs or output differ from them.
    """
    found = {item.name: item.shape for item in session.get_inputs()}
    if found.keys() != expected.inputs.keys():
        _disagree(path, f"the inputs of the graph are {_names(found)}", _names(expected.inputs))
    for name, shape in expected.inputs.items():
        if not _fits(found[name], shape):
            _disagree(
                path, f"the input {name} of the graph has the shape {_shown(found[name])}", _shown(shape)
            )
    output = session.get_outputs()[0]
    if not _fits(output.shape, expected.output):
        _disagree(
            path,
            f"the output {output.name} of the graph has the shape {_shown(output.shape)}",
            _shown(expected.output),
        )


def _fits(found: Sequence[Any], expected: Shape) -> bool:
    """Whether sizes agree where both are known; an axis of any size has a name in the graph."""
    if len(found) != len(expected):
        return False
    pairs = zip(found, expected, strict=True)
    return all(size == wanted for size, wanted in pairs if isinstance(size, int) and wanted is not None)


def _names(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))


def _shown(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("…" if size is None else str(size) for size in shape) + ")"


def _disagree(path: Path, what: str, expected: str) -> None:
    raise ModelError(what[:300], where=str(path), expected=f"{expected} by config.json", do=RENEW)
