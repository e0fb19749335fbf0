"""Which graphs compute in 8 bits is chosen by what it costs on dev."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from twofold.training import arithmetic


class Graphs:
    """Stand-ins whose content says how they were made; F1 is 85 in full precision."""

    def __init__(self, folder: Path, text: float, picture: float | None) -> None:
        self.folder, self.losses = folder, {"text": text, "picture": picture or 0.0, "fusion": 0.0}
        for name in ("text", "fusion", *(["picture"] * (picture is not None))):
            (folder / f"{name}.onnx").write_bytes(b"whole")

    def quantise(self, source: Path, target: Path, arithmetic: bool = False) -> None:
        assert source.read_bytes() == b"whole"
        target.write_bytes(b"eight" if arithmetic else b"weights")

    def quantise_pictures(self, source: Path, target: Path, pictures: Sequence) -> None:
        assert len(pictures) == 1
        self.quantise(source, target, True)

    def measure(self) -> dict[str, object]:
        lost = 0.0
        for path in self.folder.glob("*.onnx"):
            lost += {b"eight": self.losses[path.stem], b"weights": 0.01, b"whole": 0.0}[path.read_bytes()]
        return {"dev": {"dev.txt": {"lenient": {"all": {"f1": 85 - lost}}}}}

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def choose(
    graphs: Graphs,
    monkeypatch: pytest.MonkeyPatch,
    weights: str = "8bit",
    convolves: bool = True,
    **options: object,
) -> tuple[dict, list[str]]:
    monkeypatch.setattr(arithmetic, "quantise_graph", graphs.quantise)
    monkeypatch.setattr(arithmetic, "quantise_pictures", graphs.quantise_pictures)
    monkeypatch.setattr(arithmetic, "is_convolutional", lambda graph: convolves)
    lines: list[str] = []
    card, measured, full = arithmetic.choose_arithmetic(
        graphs.folder, weights, graphs.measure, lines.append, **{"pictures": [np.zeros((3, 4, 4))]} | options
    )
    assert arithmetic.mean_f1(full["dev"]) == 85
    assert measured == graphs.measure()
    assert set(graphs.content()) <= {"text.onnx", "fusion.onnx", "picture.onnx"}
    return card, lines


@pytest.mark.parametrize(
    ("text", "picture", "card", "tried"),
    [
        (0.1, None, {"arithmetic": "8bit", "f1_change": -0.11}, 1),
        (0.3, None, {"arithmetic": "float32", "f1_change": -0.02}, 2),
        (0.1, 0.05, {"arithmetic": "8bit", "picture_arithmetic": "8bit", "f1_change": -0.16}, 1),
        (0.1, 0.15, {"arithmetic": "8bit", "picture_arithmetic": "float32", "f1_change": -0.12}, 2),
        (0.3, 0.0, {"arithmetic": "float32", "picture_arithmetic": "float32", "f1_change": -0.03}, 3),
    ],
)
def test_the_fastest_that_costs_next_to_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: float,
    picture: float | None,
    card: dict,
    tried: int,
) -> None:
    graphs = Graphs(tmp_path, text, picture)
    chosen, lines = choose(graphs, monkeypatch)
    assert (chosen, len(lines)) == (card, tried)
    eight = {name for name, kind in graphs.content().items() if kind == b"eight"}
    names = {"text.onnx": "arithmetic", "picture.onnx": "picture_arithmetic"}
    assert eight == {file for file, key in names.items() if card.get(key) == "8bit"}
    assert graphs.content()["fusion.onnx"] == b"weights"


def test_weights_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path, 0.0, 0.0)
    card, lines = choose(graphs, monkeypatch, "8bit_weights")
    assert card == {"arithmetic": "float32", "picture_arithmetic": "float32", "f1_change": -0.03}
    assert len(lines) == 1
    assert set(graphs.content().values()) == {b"weights"}


def test_full_precision_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path, 0.0, 0.0)
    assert choose(graphs, monkeypatch, "float32") == ({"arithmetic": "float32"}, [])
    assert set(graphs.content().values()) == {b"whole"}


def test_graphs_of_another_model_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path, 0.0, 0.0)
    card, _ = choose(graphs, monkeypatch, taken=["text"])
    assert card == {"picture_arithmetic": "8bit", "f1_change": -0.01}
    assert graphs.content() == {"text.onnx": b"whole", "picture.onnx": b"eight", "fusion.onnx": b"weights"}
    (tmp_path / "fusion.onnx").write_bytes(b"whole")
    assert choose(graphs, monkeypatch, taken=["text", "picture"]) == ({}, [])
    assert graphs.content()["fusion.onnx"] == b"weights"


@pytest.mark.parametrize("case", [{"convolves": False}, {"pictures": []}])
def test_a_picture_encoder_that_cannot_keeps_its_arithmetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: dict
) -> None:
    graphs = Graphs(tmp_path, 0.0, 0.0)
    card, lines = choose(graphs, monkeypatch, **case)
    assert card == {"arithmetic": "8bit", "picture_arithmetic": "float32", "f1_change": -0.02}
    assert len(lines) == 1
