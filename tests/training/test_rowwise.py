"""8-bit products by row, against NumPy; the result of a row is independent of the other rows."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

pytest.importorskip("torch")

from twofold.training.rowwise import as_products, column_scales, rowwise_products

Floats = NDArray[np.float32]


def graph(nodes: list[onnx.NodeProto], **constants: Floats) -> ModelProto:
    weights = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "T", "K"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    found = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 20)]
    )
    found.ir_version = 9
    return found


def run(model: ModelProto, x: Floats) -> Floats:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found: Floats = session.run(None, {"x": x})[0]
    return found


def by_hand(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """Equation of the module, row by row."""
    eight, columns = column_scales(weights)
    out = []
    for row in x.reshape(-1, x.shape[-1]):
        scale = np.abs(row).max() / 127
        q = np.rint(row / scale).astype(np.int64)
        out.append(scale * columns * (q @ eight.astype(np.int64)) + bias)
    return np.array(out, np.float32).reshape(*x.shape[:-1], -1)


def test_two_products_of_one_input_against_numpy() -> None:
    random = np.random.default_rng(0)
    x = (random.normal(size=(3, 5, 32)) * random.lognormal(size=(3, 5, 1))).astype(np.float32)
    first, second = (random.normal(size=(32, n)).astype(np.float32) for n in (24, 8))
    bias = random.normal(size=24).astype(np.float32)
    model = graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["a"]),
            helper.make_node("Add", ["a", "bias"], ["b"]),
            helper.make_node("MatMul", ["x", "second"], ["c"]),
            helper.make_node("Concat", ["b", "c"], ["y"], axis=2),
        ],
        first=first, second=second, bias=bias,
    )  # fmt: skip
    rowwise_products(model, 0)
    assert {node.domain for node in model.graph.node} == {""}
    expected = np.concatenate([by_hand(x, first, bias), by_hand(x, second, np.zeros(8, np.float32))], 2)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["Gelu", "Relu"])
def test_activations_bounded_below_need_no_abs(activation: str) -> None:
    random = np.random.default_rng(1)
    weights = random.normal(size=(32, 8)).astype(np.float32)
    model = graph(
        [
            helper.make_node(activation, ["x"], ["a"]),
            helper.make_node("MatMul", ["a", "weights"], ["y"]),
        ],
        weights=weights,
    )
    rowwise_products(model, 0)
    assert "Abs" not in {node.op_type for node in model.graph.node}
    x = random.normal(size=(2, 6, 32)).astype(np.float32)
    x[1] = -np.abs(x[1])  # rows without a positive number
    single = graph([helper.make_node(activation, ["x"], ["y"])])
    full = run(single, x) @ weights
    assert np.abs(run(model, x) - full).max() < 0.03 * np.abs(full).max()


@pytest.mark.parametrize("kind", ["normal", "one sign", "outlier", "zero"])
def test_no_sum_of_two_neighbours_exceeds_16_bits(kind: str) -> None:
    random = np.random.default_rng(2)
    weights = random.normal(size=(33, 40)).astype(np.float32)
    if kind == "one sign":
        weights = np.abs(weights)
    if kind == "outlier":
        weights[4:6] *= 30
    if kind == "zero":
        weights[:] = 0
    eight, columns = column_scales(weights)
    padded = np.concatenate([eight, np.zeros((1, 40), np.int8)]).astype(np.int64)
    for sign in (1, -1):
        pairs = 255 * np.maximum(sign * padded, 0).reshape(-1, 2, 40).sum(1)
        assert pairs.max() <= 32767
    assert np.abs(weights - eight * columns).max() <= columns.max() / 2 + 1e-7


def test_a_row_is_exactly_the_same_in_any_batch() -> None:
    random = np.random.default_rng(3)
    weights = random.normal(size=(64, 48)).astype(np.float32)
    model = graph([helper.make_node("MatMul", ["x", "weights"], ["y"])], weights=weights)
    rowwise_products(model, 0)
    x = random.normal(size=(32, 7, 64)).astype(np.float32)
    together = run(model, x)
    for rows in (slice(0, 1), slice(5, 13), slice(31, 32)):
        assert np.array_equal(run(model, x[rows]), together[rows])
    x[1:] *= 1000  # a scale for the whole tensor would change with it
    assert np.array_equal(run(model, x)[0], together[0])


def test_a_row_of_zeros_stays_zero() -> None:
    model = graph([helper.make_node("MatMul", ["x", "weights"], ["y"])], weights=np.ones((16, 4), np.float32))
    rowwise_products(model, 0)
    assert not run(model, np.zeros((1, 2, 16), np.float32)).any()


def test_gemm_becomes_a_product_and_a_sum() -> None:
    random = np.random.default_rng(4)
    weights, bias = random.normal(size=(8, 16)).astype(np.float32), random.normal(size=8).astype(np.float32)
    model = graph(
        [
            helper.make_node("Squeeze", ["x", "axis"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["y"], transB=1),
        ],
        weights=weights, bias=bias, axis=np.array([0], np.int64),
    )  # fmt: skip
    x = random.normal(size=(1, 5, 16)).astype(np.float32)
    as_products(model)
    assert [node.op_type for node in model.graph.node] == ["Squeeze", "MatMul", "Add"]
    np.testing.assert_allclose(run(model, x), x[0] @ weights.T + bias, rtol=1e-5, atol=1e-5)


def test_inputs_that_are_multiplied_with_the_same_weights_share_them() -> None:
    random = np.random.default_rng(4)
    x, weights = (random.normal(size=size).astype(np.float32) for size in ((2, 3, 32), (32, 32)))
    model = graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["a"]),
            helper.make_node("MatMul", ["a", "weights"], ["y"]),
        ],
        weights=weights,
    )
    rowwise_products(model, 0)
    sizes = [x.dims for x in model.graph.initializer if x.data_type == TensorProto.INT8]
    assert [list(size) for size in sizes] == [[32, 32]]
    once = by_hand(x, weights, np.zeros(32, np.float32))
    np.testing.assert_allclose(
        run(model, x), by_hand(once, weights, np.zeros(32, np.float32)), rtol=1e-4, atol=1e-3
    )
