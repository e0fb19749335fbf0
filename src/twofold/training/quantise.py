"""Quantise graphs: weights in 8 bits, and arithmetic in 8 bits as well on request.

Matrices are stored in 8-bit blocks with a scale each, look-up tables in 8-bit rows with a scale each,
convolution kernels in half precision. ONNX Runtime widens matrices and kernels once, when it opens the graph.
With 8-bit arithmetic the products of a graph are those of `rowwise`. In either form the result for a post
does not depend on the other posts of its batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from twofold.training.rowwise import as_products, replace_nodes, rowwise_products

BLOCK = 32
"""Number of weights that share a scale; smaller blocks are more exact and take a little more space."""
_LARGE = 50_000
"""Tensors with fewer elements are left unchanged."""


def quantise_graph(source: Path, target: Path, arithmetic: bool = False) -> None:
    """Write an 8-bit copy of a graph.

    Args:
        source: a full-precision graph.
        target: where the copy goes; may be the same path.
        arithmetic: multiply in 8 bits, too.
    """
    model = onnx.load(source)
    _transpose_once(model)
    as_products(model)
    if arithmetic:
        rowwise_products(model, _LARGE)
    _quantise_matrices(model)
    _quantise_tables(model)
    _halve_convolutions(model)
    onnx.save(model, target)


def _transpose_once(model: ModelProto) -> None:
    """Transpose shared matrices once; the exporter writes a Transpose before each of their products."""
    matrices = {name: x for name, x in _initialisers(model).items() if len(x.dims) == 2}
    transposed, kept = dict[str, str](), list[NodeProto]()
    for node in model.graph.node:
        if node.op_type == "Transpose" and node.input[0] in matrices:
            transposed[node.output[0]] = f"{node.input[0]}_transposed"
        else:
            kept.append(node)
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = transposed.get(name, name)
    used = {name for node in kept for name in node.input}
    for name, matrix in matrices.items():
        if f"{name}_transposed" in transposed.values():
            array = np.ascontiguousarray(numpy_helper.to_array(matrix).T)
            model.graph.initializer.append(numpy_helper.from_array(array, f"{name}_transposed"))
            if name not in used:
                model.graph.initializer.remove(matrix)
    replace_nodes(model, kept)


def _quantise_matrices(model: ModelProto) -> None:
    """Store matrices (K, N) as blocks (K / `BLOCK`, `BLOCK`, N) with scales (K / `BLOCK`, 1, N)."""
    large = _initialisers(model)
    used = {node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    widened: list[NodeProto] = []
    for name in sorted(used & large.keys()):
        matrix = numpy_helper.to_array(large[name])
        if matrix.ndim == 2 and len(matrix) % BLOCK == 0:
            widened += _widening_nodes(model, name, matrix)
            model.graph.initializer.remove(large[name])
    replace_nodes(model, [*widened, *model.graph.node])


def _widening_nodes(model: ModelProto, name: str, matrix: NDArray[np.float32]) -> list[NodeProto]:
    blocks = matrix.reshape(-1, BLOCK, matrix.shape[1])
    scales = np.maximum(np.abs(blocks).max(1, keepdims=True), 1e-12) / 127
    quantised = np.rint(blocks / scales).astype(np.int8)
    parts = {"blocks": quantised, "scales": scales.astype(np.float32), "shape": np.array(matrix.shape)}
    model.graph.initializer.extend(numpy_helper.from_array(v, f"{name}_{k}") for k, v in parts.items())
    return [
        helper.make_node("Cast", [f"{name}_blocks"], [f"{name}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_float", f"{name}_scales"], [f"{name}_scaled"]),
        helper.make_node("Reshape", [f"{name}_scaled", f"{name}_shape"], [name]),
    ]


def _initialisers(model: ModelProto) -> dict[str, TensorProto]:
    return {x.name: x for x in model.graph.initializer if np.prod(x.dims) >= _LARGE and x.data_type == 1}


def _quantise_tables(model: ModelProto) -> None:
    """Gather(table, i) becomes Cast(Gather(rows, i)) · Gather(scales, i)."""
    tables = _initialisers(model)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        if node.op_type != "Gather" or node.input[0] not in tables or axis != 0:
            nodes.append(node)
            continue
        nodes += _table_nodes(model, node, numpy_helper.to_array(tables[node.input[0]]))
    replace_nodes(model, nodes)


def _table_nodes(model: ModelProto, node: NodeProto, table: NDArray[np.float32]) -> list[NodeProto]:
    name = node.input[0]
    scales = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12) / 127
    rows = np.rint(table / scales).astype(np.int8)
    model.graph.initializer.append(numpy_helper.from_array(rows, f"{name}_rows"))
    model.graph.initializer.append(numpy_helper.from_array(scales.astype(np.float32), f"{name}_scales"))
    out = node.output[0]
    return [
        helper.make_node("Gather", [f"{name}_rows", node.input[1]], [f"{out}_row"], axis=0),
        helper.make_node("Gather", [f"{name}_scales", node.input[1]], [f"{out}_scale"], axis=0),
        helper.make_node("Cast", [f"{out}_row"], [f"{out}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
    ]


def _halve_convolutions(model: ModelProto) -> None:
    """Store kernels in half precision; ONNX Runtime widens them once, when it opens the graph."""
    kernels = {k: v for k, v in _initialisers(model).items() if len(v.dims) == 4}
    used = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input}
    casts = []
    for name in sorted(used & kernels.keys()):
        half = numpy_helper.to_array(kernels[name]).astype(np.float16)
        model.graph.initializer.append(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        model.graph.initializer.remove(kernels[name])
    replace_nodes(model, [*casts, *model.graph.node])
