"""8-bit convolutions: nearly the same regions, independent of the rest of the batch."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

pytest.importorskip("torch")

from twofold.posts import Post
from twofold.preprocessing.images import PictureSettings
from twofold.training.quantise_pictures import (
    PICTURES,
    is_convolutional,
    quantise_pictures,
    sample_pixels,
)

CHANNELS, LAYERS, SIDE = 16, 9, 8


def save(path: Path, nodes: list, weights: dict[str, np.ndarray]) -> Path:
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["pictures", 3, SIDE, SIDE])
    regions = helper.make_tensor_value_info("regions", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(x.astype(np.float32), name) for name, x in weights.items()]
    graph = helper.make_graph(nodes, "g", [given], [regions], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Nine convolutions, each with an activation, the last ones with a residual."""
    random, nodes, weights, last = (
        np.random.default_rng(0),
        [],
        {"low": np.array(0.0), "high": np.array(6.0)},
        "pixels",
    )
    for i in range(LAYERS):
        shape = (CHANNELS, 3 if i == 0 else CHANNELS, 3, 3)
        weights |= {f"kernel{i}": random.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))}
        weights |= {f"bias{i}": random.normal(size=CHANNELS) / 10}
        conv = helper.make_node("Conv", [last, f"kernel{i}", f"bias{i}"], [f"c{i}"], f"conv{i}", pads=[1] * 4)
        nodes += [conv, helper.make_node("Clip", [f"c{i}", "low", "high"], [f"a{i}"], f"clip{i}")]
        last = f"a{i}"
    nodes.append(helper.make_node("Add", [last, f"a{LAYERS - 2}"], ["regions"], "add"))
    return save(tmp_path / "whole.onnx", nodes, weights)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    return list(np.random.default_rng(1).normal(size=(12, 3, SIDE, SIDE)).astype(np.float32))


def run(path: Path, pixels: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"pixels": pixels})[0]
    return found


def test_regions_are_nearly_the_same_and_independent_of_the_batch(
    whole: Path, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    small = tmp_path / "small.onnx"
    quantise_pictures(whole, small, pictures)
    others = np.random.default_rng(2).normal(size=(6, 3, SIDE, SIDE)).astype(np.float32)
    full, eight = run(whole, others), run(small, others)
    assert 0 < np.abs(full - eight).mean() < 0.05 * full.std()
    for i, picture in enumerate(others):
        assert np.array_equal(run(small, picture[None])[0], eight[i])


def test_the_first_convolutions_keep_their_kernels_and_no_other_can_saturate(
    whole: Path, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    small = tmp_path / "small.onnx"
    quantise_pictures(whole, small, pictures)
    before, after = (
        {x.name: numpy_helper.to_array(x) for x in onnx.load(path).graph.initializer}
        for path in (whole, small)
    )
    for i in range(LAYERS):
        if i < 6:
            assert np.array_equal(after[f"kernel{i}"], before[f"kernel{i}"])
            continue
        kernel, scale = after[f"kernel{i}_quantized"], after[f"kernel{i}_scale"]
        assert kernel.dtype == np.int8
        assert 2 * 255 * np.abs(kernel.astype(int)).max() < 2**15  # two products in 16 bits
        widened = kernel * scale[:, None, None, None]
        assert np.abs(widened - before[f"kernel{i}"]).max() <= scale.max() * 0.51


def test_a_graph_with_matrix_products_is_not_convolutional(whole: Path, tmp_path: Path) -> None:
    assert is_convolutional(whole)
    product = helper.make_node("MatMul", ["pixels", "matrix"], ["regions"])
    assert not is_convolutional(save(tmp_path / "product.onnx", [product], {"matrix": np.eye(SIDE)}))


def picture(shade: int) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (20, 20), (shade, shade, shade)).save(stream, "PNG")
    return stream.getvalue()


def test_pictures_are_spread_over_the_posts_and_broken_ones_left_out() -> None:
    posts = [Post(i, "x", image=picture(i) if i % 2 else None) for i in range(250)]
    posts[1] = Post(1, "x", image=b"no picture")
    settings = PictureSettings(resize=8, crop=4, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    found = sample_pixels(posts, settings)
    assert len(found) == PICTURES - 1
    shades = [int(pixels[0, 0, 0]) for pixels in found]
    assert shades[-1] == 249
    assert {b - a for a, b in pairwise(shades)} <= {2, 4}
    assert found[0].shape == (3, 4, 4)
    assert sample_pixels([Post(1, "x")], settings) == []
