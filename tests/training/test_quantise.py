"""8-bit graphs: smaller, nearly the same output, independent of the rest of the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch")

from twofold.training.quantise import quantise_graph

SIZE = 512


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A table, a matrix product and a convolution."""
    random = np.random.default_rng(0)
    arrays = {
        "table": random.normal(size=(200, SIZE)),
        "matrix": random.normal(size=(SIZE, SIZE)) / 20,
        "kernel": random.normal(size=(SIZE, SIZE // 2, 1, 1)) / 20,
    }
    weights = [numpy_helper.from_array(x.astype(np.float32), n) for n, x in arrays.items()]
    weights.append(numpy_helper.from_array(np.array([0, SIZE // 2, -1, 1], np.int64), "shape"))
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "matrix"], ["product"]),
        helper.make_node("Reshape", ["product", "shape"], ["grid"]),
        helper.make_node("Conv", ["grid", "kernel"], ["out"]),
    ]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "T"])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    return path


def run(path: Path, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": ids})[0]


def test_a_third_of_the_size_and_nearly_the_same(graph: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    quantise_graph(graph, small)
    assert small.stat().st_size < graph.stat().st_size / 2.5
    ids = np.random.default_rng(1).integers(0, 200, (2, 3))
    full, eight = run(graph, ids), run(small, ids)
    assert np.abs(full - eight).max() < 0.03 * full.std() * 3


def test_a_row_does_not_depend_on_the_others(graph: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    quantise_graph(graph, small)
    ids = np.random.default_rng(2).integers(0, 200, (4, 3))
    together, alone = run(small, ids), run(small, ids[1:2])
    np.testing.assert_allclose(together.reshape(4, -1)[1], alone.ravel(), atol=1e-5)


def test_the_copy_may_replace_its_source(graph: Path) -> None:
    before = graph.stat().st_size
    quantise_graph(graph, graph)
    assert graph.stat().st_size < before


def test_a_matrix_that_two_products_share_is_transposed_once_and_quantised(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32) / 20
    nodes = [
        helper.make_node("Transpose", ["matrix"], ["one"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "one"], ["first"]),
        helper.make_node("Transpose", ["matrix"], ["other"], perm=[1, 0]),
        helper.make_node("MatMul", ["first", "other"], ["out"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", SIZE]) for n in ("x", "out")]
    weights = [numpy_helper.from_array(matrix, "matrix")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:], weights),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 9
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    onnx.save(model, whole)
    quantise_graph(whole, small)
    assert small.stat().st_size < whole.stat().st_size / 3
    x = np.random.default_rng(1).normal(size=(3, SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(small), providers=["CPUExecutionProvider"])
    expected = x @ matrix.T @ matrix.T
    assert np.abs(session.run(None, {"x": x})[0] - expected).max() < 0.05 * expected.std()
