"""Smaller graphs: weights in 8 bits, arithmetic in full precision.

Matrix products keep 8-bit weights in blocks with a scale each, look-up tables an 8-bit row with a
scale each, convolutions half precision. Activations are never quantised: the result for a post must
not depend on the other posts of its batch.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

BLOCK = 32
"""Weights that share a scale; fewer are more exact and a little larger."""
_LARGE = 50_000
"""Tensors with fewer numbers are left as they are."""


def quantise_graph(source: Path, target: Path) -> None:
    """Write an 8-bit copy of a graph.

    Args:
        source: a full-precision graph.
        target: where the copy goes; may be the same path.
    """
    model = _quantise_products(source)
    _quantise_tables(model)
    _halve_convolutions(model)
    onnx.save(model, target)


def _quantise_products(source: Path) -> ModelProto:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=8, block_size=BLOCK, is_symmetric=True)
    quantizer.process()
    model: ModelProto = quantizer.model.model
    return model


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
    _replace_nodes(model, nodes)


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
    """Kernels on disk in half precision; ONNX Runtime widens them once, when it opens the graph."""
    kernels = {k: v for k, v in _initialisers(model).items() if len(v.dims) == 4}
    used = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input}
    casts = []
    for name in sorted(used & kernels.keys()):
        half = numpy_helper.to_array(kernels[name]).astype(np.float16)
        model.graph.initializer.append(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        model.graph.initializer.remove(kernels[name])
    _replace_nodes(model, [*casts, *model.graph.node])


def _replace_nodes(model: ModelProto, nodes: list[NodeProto]) -> None:
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    unused = [x for x in model.graph.initializer if x.name not in read]
    for tensor in unused:
        model.graph.initializer.remove(tensor)
    names = {x.name for x in model.graph.initializer}
    stale = [x for x in model.graph.value_info if x.name in names]
    for info in stale:
        model.graph.value_info.remove(info)
