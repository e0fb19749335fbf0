"""Which graphs compute in 8 bits is chosen by the loss of F1 on dev."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from twofold.training import arithmetic


class Graphs:
    """Fake graphs whose content says how they were quantised; F1 is 85 in full precision."""

    def __init__(self, folder: Path, losses: dict[str, float]) -> None:
        self.folder, self.losses = folder, {"fusion": 0.0} | losses
        for name in self.losses:
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
    ("losses", "arithmetics", "change", "tried"),
    [
        ({"text": 0.1}, "8bit, none, 8bit", -0.1, 1),
        ({"text": 0.1, "fusion": 0.15}, "8bit, none, float32", -0.11, 2),
        ({"text": 0.3}, "float32, none, float32", -0.02, 3),
        ({"text": 0.1, "picture": 0.05, "fusion": 0.01}, "8bit, 8bit, 8bit", -0.16, 1),
        ({"text": 0.1, "picture": 0.05, "fusion": 0.1}, "8bit, 8bit, float32", -0.16, 2),
        ({"text": 0.1, "picture": 0.15}, "8bit, float32, float32", -0.12, 3),
        ({"text": 0.3, "picture": 0.0}, "float32, float32, float32", -0.03, 4),
    ],
)
def test_the_fastest_arithmetic_within_the_loss_is_chosen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    losses: dict[str, float],
    arithmetics: str,
    change: float,
    tried: int,
) -> None:
    graphs = Graphs(tmp_path, losses)
    chosen, lines = choose(graphs, monkeypatch)
    names = {"text": "arithmetic", "picture": "picture_arithmetic", "fusion": "fusion_arithmetic"}
    by_graph = dict(zip(names, arithmetics.split(", "), strict=True))
    expected = {names[name]: kind for name, kind in by_graph.items() if kind != "none"}
    assert (chosen, len(lines)) == (expected | {"f1_change": change}, tried)
    kinds = {"8bit": b"eight", "float32": b"weights"}
    assert graphs.content() == {f"{name}.onnx": kinds[k] for name, k in by_graph.items() if k != "none"}


def test_only_weights_in_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path, {"text": 0.0, "picture": 0.0})
    card, lines = choose(graphs, monkeypatch, "8bit_weights")
    expected = dict.fromkeys(("arithmetic", "picture_arithmetic", "fusion_arithmetic"), "float32")
    assert card == expected | {"f1_change": -0.03}
    assert len(lines) == 1
    assert set(graphs.content().values()) == {b"weights"}


def test_full_precision_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path, {"text": 0.0, "picture": 0.0})
    assert choose(graphs, monkeypatch, "float32") == ({"arithmetic": "float32"}, [])
    assert set(graphs.content().values()) == {b"whole"}


def test_graphs_of_another_model_are_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(tmp_path, {"text": 0.0, "picture": 0.0})
    card, _ = choose(graphs, monkeypatch, shared=["text"])
    assert card == {"picture_arithmetic": "8bit", "fusion_arithmetic": "8bit", "f1_change": 0.0}
    assert graphs.content() == {"text.onnx": b"whole", "picture.onnx": b"eight", "fusion.onnx": b"eight"}
    for name in ("fusion", "picture"):
        (tmp_path / f"{name}.onnx").write_bytes(b"whole")
    card, _ = choose(graphs, monkeypatch, shared=["text", "picture"])
    assert card == {"fusion_arithmetic": "8bit", "f1_change": 0.0}


@pytest.mark.parametrize("case", [{"convolves": False}, {"pictures": []}])
def test_a_picture_encoder_that_cannot_be_quantised_keeps_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: dict
) -> None:
    graphs = Graphs(tmp_path, {"text": 0.0, "picture": 0.0})
    card, lines = choose(graphs, monkeypatch, **case)
    expected = {"arithmetic": "8bit", "picture_arithmetic": "float32", "fusion_arithmetic": "8bit"}
    assert card == expected | {"f1_change": -0.01}
    assert len(lines) == 1
