"""Exports by PyTorch's old exporter, for tests of what comes after an export.

`torch.export` takes 5 to 20 seconds for a graph of toy size, the TorchScript exporter a twentieth of that,
and the graphs compute the same. Tests of the graphs themselves use the exporter that users get.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TEXT_INPUTS = ["input_ids", "attention_mask"]


def trace(
    module: Any, inputs: tuple[Any, ...], names: list[str], outputs: list[str], axes: Any, path: Path
) -> None:
    """Replace `twofold.training.export._export`; takes the same arguments."""
    import torch

    from twofold.training.export import strip_exporter_metadata

    flat = [part for axis in axes for part in (axis if isinstance(axis, tuple) else (axis,))]
    dynamic = {n: {i: size.__name__ for i, size in axis.items()} for n, axis in zip(names, flat, strict=True)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about checks that the trace makes constant
        torch.onnx.export(
            module.eval(), inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=dynamic,
            opset_version=18, dynamo=False,
        )  # fmt: skip
    strip_exporter_metadata(path)


def draw_nothing(rows: Sequence[Any], path: Path) -> None:
    """Replace `twofold.training.learning_curve.draw_curve`, which takes longer than an epoch."""
    path.write_bytes(b"no curve")


@contextmanager
def quick_exports(*, only_text: bool = False) -> Iterator[None]:
    """Trainings in the block export by `trace`, or, where that fails, by the exporter that users get.

    They draw no learning curve.

    Args:
        only_text: use `trace` for the text encoder only, whose graph is tested with the encoders.
    """
    from torch.onnx.errors import OnnxExporterError

    from twofold.training import export, loop

    whole = export._export

    def quick(*arguments: Any) -> None:
        if only_text and arguments[2] != TEXT_INPUTS:
            return whole(*arguments)
        try:
            return trace(*arguments)
        except OnnxExporterError:
            return whole(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_export", quick)
        patch.setattr(loop, "draw_curve", draw_nothing)
        yield
