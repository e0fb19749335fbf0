"""Edited model folders with a new manifest: one line on stderr and exit code 2, never a traceback."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tiny_model
from PIL import Image
from safetensors.numpy import save_file

from twofold.cli.main import main
from twofold.model_folder.folder import write_manifest


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def extract(folder, tmp_path, capsys):
    """The message about the folder as it is now, with a new manifest."""
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")

    def run() -> str:
        write_manifest(folder)
        text, picture = "Anna left paris", str(tmp_path / "a.png")
        assert main(["extract", "--model", str(folder), "--text", text, "--image", picture]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        return captured.err

    return run


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("text", "window_pieces", 0, "expected 4 to"),
        ("text", "window_pieces", 10**12, "expected 4 to"),
        ("text", "context_words", -5, "expected 0 to"),
        ("text", "pad_token_id", 10**9, "expected 0 to"),
        ("text", "pad_token_id", -1, "expected 0 to"),
        ("text", "hidden_size", 5, "the output states of the graph has the shape"),
        ("picture", "crop", 100_000, "expected 1 to 256"),
        ("picture", "crop", 1e5, "crop is missing or of the wrong type"),
        ("picture", "resize", 0, "expected 1 to"),
        ("picture", "hidden_size", 7, "the output regions of the graph has the shape"),
        ("picture", "regions", -1, "expected 1 to"),
        ("picture", "mean", [1], "the number of channels of picture.mean is 1"),
        ("picture", "std", [0, 0, 0], "picture.std is 0"),
        ("picture", "std", [float("nan")] * 3, "picture.std is nan"),
        ("picture", "max_crops", 10**6, "expected 1 to 100"),
    ],
)
def test_numbers_out_of_range(folder, extract, section, key, value, expected):
    config = json.loads((folder / "config.json").read_text())
    config[section][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    assert expected in extract()


@pytest.mark.parametrize(("one", "other"), [("text", "picture"), ("text", "fusion"), ("picture", "fusion")])
def test_swapped_graphs(folder, extract, one, other):
    (folder / f"{one}.onnx").rename(folder / "swap")
    (folder / f"{other}.onnx").rename(folder / f"{one}.onnx")
    (folder / "swap").rename(folder / f"{other}.onnx")
    assert "of the graph" in extract()


def test_labels_that_the_graph_does_not_have(folder, extract):
    config = json.loads((folder / "config.json").read_text())
    config["labels"] += ["B-NEW", "I-NEW"]
    (folder / "config.json").write_text(json.dumps(config))
    count = len(config["labels"])
    arrays = {"transitions": np.zeros((count, count)), "start": np.zeros(count), "end": np.zeros(count)}
    save_file({name: x.astype(np.float32) for name, x in arrays.items()}, folder / "decoder.safetensors")
    assert "the output emissions of the graph has the shape" in extract()


@pytest.mark.parametrize("content", ["{", "{}", '{"model": null}', "[]", ""])
def test_a_broken_tokenizer(folder, extract, content):
    (folder / "tokenizer.json").write_text(content)
    assert "the tokenizer cannot be used" in extract()


def test_a_decoder_of_nan(folder, extract):
    count = len(tiny_model.LABELS)
    arrays = {
        "transitions": np.full((count, count), np.nan),
        "start": np.zeros(count),
        "end": np.zeros(count),
    }
    save_file({name: x.astype(np.float32) for name, x in arrays.items()}, folder / "decoder.safetensors")
    assert "NaN or infinite" in extract()


def test_a_graph_of_nan(folder, extract):
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / "fusion.onnx")
    for weight in graph.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32:
            weight.CopyFrom(numpy_helper.from_array(np.full_like(array, np.nan), weight.name))
    onnx.save(graph, folder / "fusion.onnx")
    assert "NaN or infinite" in extract()
