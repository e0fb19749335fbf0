"""Compare extraction with the limit of the machine: the matrix products of the text encoder alone.

The limit is measured: a graph that consists only of those products, each with its own operands, runs in ONNX
Runtime on as many word pieces as the batches of the extraction had, once in float32 and once in 8 bits, on
one thread like the extraction. The products in attention, which have no weights, are left out: they are 2 %
of the work at 40 word pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from extraction import Report, extract, recorded, write_posts
from timing import Ratio, Work, interleave, ratio

import twofold

_FORMS = {"float32": "MatMul", "8 bits": "MatMulInteger"}
Shape = tuple[int, int]


def compare(folder: Path | None, work: Path, count: int, rounds: int, report: Report) -> list[Ratio]:
    """Time extraction of entities from text against the products of its encoder.

    Args:
        folder: model folder; None for the default.
        work: folder for the posts.
        count: number of posts. rounds: number of rounds.
        report: called with a line if this cannot be measured.
    """
    try:
        import onnx
    except ImportError:
        report("the limit of the machine left out: onnx is not installed")
        return []
    model = twofold.load(folder, threads=1, relation_model=False)
    posts = write_posts(work / "roofline", count, pictures=False)
    with recorded() as calls:
        extract(model, posts)
    pieces = [inputs["input_ids"].size for name, inputs in calls if name == "text"]
    shapes = _products(onnx.load(model.pipeline.folder.path / "text.onnx"))
    if not shapes:
        report("the limit of the machine left out: the text encoder has no products with plain weights")
        return []
    ours = "entities, text alone, one thread"
    works: dict[str, Work] = {ours: partial(extract, model, posts)}
    for form, operator in _FORMS.items():
        graph = _graph(onnx, shapes, operator)
        works[_name(form)] = partial(_run, graph, [_operands(graph, rows) for rows in pieces])
    seconds = interleave(works, rounds)
    billions = 2 * sum(pieces) * sum(k * n for k, n in shapes) / 1e9
    return [
        ratio(seconds, ours, _name(form), f"which reach {billions / min(seconds[_name(form)]):.0f} GOP/s")
        for form in _FORMS
    ]


def _name(form: str) -> str:
    return f"products of its encoder in {form}"


def _products(model: Any) -> list[Shape]:
    """Input and output sizes of each product with weights."""
    weights = {x.name: tuple(x.dims) for x in model.graph.initializer if len(x.dims) == 2}
    return [
        weights[name]
        for node in model.graph.node
        if node.op_type in _FORMS.values()
        for name in node.input
        if name in weights
    ]


def _graph(onnx: Any, shapes: Sequence[Shape], operator: str) -> onnxruntime.InferenceSession:
    """Graph with one product of each shape (K, N); those with the same K share their rows (M, K)."""
    integer = operator == "MatMulInteger"
    helper, random = onnx.helper, np.random.default_rng(0)
    left, right, result = ("UINT8", np.int8, "INT32") if integer else ("FLOAT", np.float32, "FLOAT")
    tensors = [
        onnx.numpy_helper.from_array(random.integers(-20, 20, shape).astype(right), f"weights{i}")
        for i, shape in enumerate(shapes)
    ]
    nodes = [
        helper.make_node(operator, [f"rows{k}", f"weights{i}"], [f"out{i}"])
        for i, (k, _) in enumerate(shapes)
    ]
    value = helper.make_tensor_value_info
    inputs = [
        value(f"rows{k}", getattr(onnx.TensorProto, left), ["M", k]) for k in sorted({k for k, _ in shapes})
    ]
    outputs = [
        value(f"out{i}", getattr(onnx.TensorProto, result), ["M", n]) for i, (_, n) in enumerate(shapes)
    ]
    graph = helper.make_graph(nodes, "products", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _operands(graph: onnxruntime.InferenceSession, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    dtypes = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    return {
        x.name: random.integers(0, 255, (rows, x.shape[1])).astype(dtypes[x.type]) for x in graph.get_inputs()
    }


def _run(graph: onnxruntime.InferenceSession, batches: Sequence[dict[str, Any]]) -> None:
    for operands in batches:
        graph.run(None, operands)
