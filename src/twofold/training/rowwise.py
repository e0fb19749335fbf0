"""8-bit matrix products in which each row of the activations has a scale of its own.

A product X·W with constant weights W (K, N) becomes, for each row x of X,

    s = max|x| / 127,  q = round(x / s) + 128 as uint8,  x·W ≈ s · c ⊙ ((q - 128)·Q)

with Q (K, N) int8 and c (N,) one scale for each column of W: LLM.int8() (Dettmers et al., 2022, Eq. 5,
vector-wise quantisation) without its outlier columns. The sums are sums of integers and therefore exact,
and no row depends on another: the states of a text do not depend on the rest of its batch. Only standard ONNX
operators are used.

Processors without 8-bit dot products add two neighbouring products in 16 bits, and saturate. The column's
scale is therefore chosen so that no such sum can exceed 16 bits; this costs a fraction of a bit, and all
processors give the same sums.

Shape letters: M rows, K inputs, N outputs of a product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]

_MINIMUM = {"Gelu": 0.17, "Relu": 0.0}
"""Activations that are never below the negative of this number; their largest magnitude needs no Abs."""
_ZERO_POINT = 128
_MAX_PAIR_SUM = 32767 // 255
"""The largest sum of two neighbouring weights of one sign: 255 times it fits into 16 bits."""


def rowwise_products(model: ModelProto, smallest: int) -> None:
    """Replace products with constant weights by 8-bit ones, in place; those of one input become one product.

    Args:
        model: a graph in full precision.
        smallest: products with fewer weights are left unchanged.
    """
    _Rewriter(model, smallest).run()


def column_scales(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Q (K, N) int8 and c (N,) with weights (K, N) ≈ c ⊙ Q; no two neighbouring rows add beyond 16 bits."""
    padded = np.concatenate([weights, np.zeros((len(weights) % 2, weights.shape[1]), np.float32)])
    even, odd = padded[0::2], padded[1::2]
    pairs = [np.maximum(sign * even, 0) + np.maximum(sign * odd, 0) for sign in (1, -1)]
    # Rounding adds up to ½ to each of the two.
    largest = np.maximum(np.abs(weights).max(0) / 127, np.maximum(*pairs).max(0) / (_MAX_PAIR_SUM - 1))
    scales = np.maximum(largest, 1e-12).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


class _Rewriter:
    """One pass over a graph, in the order of its nodes."""

    def __init__(self, model: ModelProto, smallest: int) -> None:
        self._model, self._graph, self._smallest = model, model.graph, smallest
        self._tensors = {x.name: x for x in model.graph.initializer}
        self._nodes: list[NodeProto] = []
        self._made_by = {name: node.op_type for node in model.graph.node for name in node.output}
        self._users: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def run(self) -> None:
        products: dict[str, list[NodeProto]] = {}
        for node in self._graph.node:
            if self._is_product(node):
                products.setdefault(node.input[0], []).append(node)
        done: set[str] = set()
        for node in self._graph.node:
            if node.output[0] in done:
                continue
            if not self._is_product(node):
                self._nodes.append(node)
                continue
            group = products[node.input[0]]
            biases = [self._bias(item) for item in group]
            done |= {item.output[0] for item in group} | {add.output[0] for add in biases if add}
            self._replace(group, biases)
        replace_nodes(self._model, self._nodes)

    def _is_product(self, node: NodeProto) -> bool:
        weights = self._tensors.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or len(weights.dims) != 2 or weights.data_type != TensorProto.FLOAT:
            return False
        return int(np.prod(weights.dims)) >= self._smallest

    def _bias(self, product: NodeProto) -> NodeProto | None:
        """The node that adds a constant (N,) to a product and is its only user."""
        users = self._users.get(product.output[0], [])
        width = [self._tensors[product.input[1]].dims[1]]
        if len(users) != 1 or users[0].op_type != "Add":
            return None
        constants = [self._tensors[name] for name in users[0].input if name in self._tensors]
        return users[0] if len(constants) == 1 and list(constants[0].dims) == width else None

    def _replace(self, group: Sequence[NodeProto], adds: Sequence[NodeProto | None]) -> None:
        source = group[0].input[0]
        weights = [numpy_helper.to_array(self._tensors[node.input[1]]) for node in group]
        widths = [x.shape[1] for x in weights]
        biases = [self._constant_of(add, width) for add, width in zip(adds, widths, strict=True)]
        name = "+".join(node.input[1] for node in group)  # several inputs may use the same weights
        flat = self._product(source, name, np.concatenate(weights, 1), np.concatenate(biases), any(adds))
        parts = [flat]
        if len(group) > 1:
            parts = [f"{flat}_{n}" for n in range(len(group))]
            sizes = self._constant(np.array(widths), f"{source}_sizes")
            self._nodes.append(helper.make_node("Split", [flat, sizes], parts, axis=-1))
        lead = self._add("Shape", [source], f"{source}_rows", start=0, end=-1)
        for node, add, part, width in zip(group, adds, parts, widths, strict=True):
            size = self._constant(np.array([width]), f"size_{width}")
            shape = self._add("Concat", [lead, size], f"{part}_shape", axis=0)
            self._add("Reshape", [part, shape], (add or node).output[0])

    def _product(self, source: str, name: str, weights: Floats, bias: Floats, biased: bool) -> str:
        """The product (M, N) of a source and the weights of that name, with its bias added."""
        rows, scales = self._quantised(source, len(weights))
        quantised, columns = column_scales(weights)
        zero = self._constant(np.array(_ZERO_POINT, np.uint8), "zero_point")
        constant = [self._constant(quantised, f"{name}_Q"), zero]
        sums = self._add("MatMulInteger", [rows, *constant], f"{source}_sums")
        scaled = self._add("DequantizeLinear", [sums, scales], f"{source}_scaled", axis=0)
        out = self._add("Mul", [scaled, self._constant(columns, f"{name}_c")], f"{source}_product")
        return (
            self._add("Add", [out, self._constant(bias, f"{source}_b")], f"{source}_out") if biased else out
        )

    def _quantised(self, source: str, width: int) -> tuple[str, str]:
        """Rows (M, K) uint8 of a tensor, and their scales (M,)."""
        shape = self._constant(np.array([-1, width]), f"flat_{width}")
        flat = self._add("Reshape", [source, shape], f"{source}_flat")
        axis = self._constant(np.array([1]), "last_axis")
        least = _MINIMUM.get(self._made_by.get(source, ""))
        positive = flat if least is not None else self._add("Abs", [flat], f"{source}_abs")
        largest = self._add("ReduceMax", [positive, axis], f"{source}_max", keepdims=0)
        floor = self._constant(np.array(least or 1e-12, np.float32), f"floor_{least or 0}")
        bounded = self._add("Max", [largest, floor], f"{source}_bounded")
        unit = self._constant(np.array(1 / 127, np.float32), "unit")
        scales = self._add("Mul", [bounded, unit], f"{source}_s")
        zero = self._constant(np.array([_ZERO_POINT], np.uint8), "zero_points")
        count = self._add("Shape", [scales], f"{source}_count")
        zeros = self._add("Expand", [zero, count], f"{source}_zeros")
        return self._add("QuantizeLinear", [flat, scales, zeros], f"{source}_q", axis=0), scales

    def _constant_of(self, add: NodeProto | None, width: int) -> Floats:
        if add is None:
            return np.zeros(width, np.float32)
        (name,) = [name for name in add.input if name in self._tensors]
        bias: Floats = numpy_helper.to_array(self._tensors[name])
        return bias

    def _add(self, kind: str, inputs: Sequence[str], output: str, **attributes: int) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, value: NDArray[np.generic], name: str) -> str:
        if name not in self._tensors:
            self._tensors[name] = numpy_helper.from_array(value, name)
            self._graph.initializer.append(self._tensors[name])
        return name


def replace_nodes(model: ModelProto, nodes: Sequence[NodeProto]) -> None:
    """Replace the nodes of a graph, and remove constants and shapes that none of them uses."""
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    made = {name for node in kept for name in node.output}
    constants = [x for x in model.graph.initializer if x.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    shapes = [x for x in model.graph.value_info if x.name in made]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shapes)


def as_products(model: ModelProto) -> None:
    """Write each Gemm A·B + C with constant B as MatMul and Add, in place."""
    constants: Mapping[str, TensorProto] = {x.name: x for x in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        plain = options.get("alpha", 1) == options.get("beta", 1) == 1 and not options.get("transA", 0)
        if node.op_type != "Gemm" or node.input[1] not in constants or not plain:
            nodes.append(node)
            continue
        weights, product = node.input[1], node.output[0]
        if options.get("transB", 0):
            weights = f"{weights}_T"
            if weights not in {x.name for x in model.graph.initializer}:
                transposed = numpy_helper.to_array(constants[node.input[1]]).T.copy()
                model.graph.initializer.append(numpy_helper.from_array(transposed, weights))
        if len(node.input) > 2:
            product = f"{node.output[0]}_product"
        nodes.append(helper.make_node("MatMul", [node.input[0], weights], [product]))
        if len(node.input) > 2:
            nodes.append(helper.make_node("Add", [product, node.input[2]], list(node.output)))
    replace_nodes(model, nodes)
