"""The exported graphs in ONNX Runtime, each opened when it is first used.

A run over posts without pictures never opens the picture graph. It does not know posts.

Shape letters: B rows, T word pieces, W words, D width of text states, R regions, V their width,
N elements of a modality, S targets, P positions of a target, K outputs, M modalities.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from twofold import telemetry
from twofold.errors import ModelError, TwofoldError
from twofold.inference.devices import Device, open_session
from twofold.inference.graph_shapes import GraphShapes, check_graph

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]


class FusionOutput(NamedTuple):
    """Output of ``fusion.onnx``.

    Attributes:
        emissions: (B, S, K).
        evidence: (B, M, 4, S, K) δ, γ, α, β of each modality; None for models without evidence.
        fused: (B, 4, S, K) δ, γ, α, β after pooling; None likewise.
        share: (B, M, S, K) share of each modality; None likewise.
    """

    emissions: Floats
    evidence: Floats | None = None
    fused: Floats | None = None
    share: Floats | None = None


class Sessions:
    """The graphs of one model folder.

    Args:
        folder: a checked model folder.
        threads: threads inside a graph; None for as many as there are cores.
        unfused: names of graphs without operator fusion: ONNX Runtime's fused layer norms and biases with
            activations are slower than the separate operators. On a GPU all graphs are fused.
        shared: sessions of another folder, by the name of a graph that is the same there.
        expected: shapes of each graph by name, checked when it is first used; None for no check.
        device: device to run on.
    """

    def __init__(
        self,
        folder: Path,
        threads: int | None = None,
        unfused: Collection[str] = (),
        shared: Mapping[str, Sessions] | None = None,
        expected: Mapping[str, GraphShapes] | None = None,
        device: Device = "cpu",
    ) -> None:
        self._folder, self._threads, self._shared = folder, threads, shared or {}
        self._unfused, self._device = unfused if device == "cpu" else (), device
        self._expected = dict(expected or {})
        self._open: dict[str, InferenceSession] = {}
        self._lock = threading.Lock()
        _ALL.add(self)

    def reset_after_fork(self) -> None:
        """Drop the sessions and the lock that a fork copied: their threads and holder stayed in the parent.

        Graphs are opened again when they are next used. The copies are never freed: ONNX Runtime would wait
        for their threads forever.
        """
        for session in self._open.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
        self._open, self._lock = {}, threading.Lock()

    @property
    def opened(self) -> tuple[str, ...]:
        """Names of the graphs opened here so far."""
        return tuple(self._open)

    def open(self, name: str) -> None:
        """Open a graph before its first use.

        Raises:
            ModelError: it cannot be opened, or does not match the configuration.
            MissingExtraError, ConfigError: the device cannot be used.
        """
        self._session(name)

    def text(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Floats:
        """States (B, T, D) of word pieces (B, T); the mask (B, T) is 1 where a piece is real."""
        return self._run("text", {"input_ids": input_ids, "attention_mask": attention_mask})[0]

    def picture(self, pixels: Floats) -> Floats:
        """Regions (B, R, V) of pictures (B, 3, S, S)."""
        return self._run("picture", {"pixels": pixels})[0]

    def fuse(self, inputs: Mapping[str, NDArray[Any]]) -> FusionOutput:
        """Emissions and evidence of the targets.

        Args:
            inputs: ``words`` (B, W, D), case features ``shapes`` (B, W), ``word_mask`` (B, W) bool, for
                each modality besides the text its states (B, N, V) and ``<modality>_mask`` (B, N) bool, and
                for relation models positions of the targets ``slots`` (B, S, P); without them, each word is
                a target.
        """
        return FusionOutput(*self._run("fusion", inputs))

    def _run(self, name: str, inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        session = self._session(name)
        try:
            outputs: list[Floats] = session.run(None, dict(inputs))
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise ModelError(
                f"the graph failed: {str(error)[:300]}",
                where=str(self._folder / f"{name}.onnx"),
                do="get the model folder again, or export the model again"
                + (
                    ", or use smaller batches if the memory of the GPU was full"
                    if self._device != "cpu"
                    else ""
                ),
            ) from error
        return outputs

    def _session(self, name: str) -> InferenceSession:
        path = self._folder / f"{name}.onnx"
        if name in self._shared:
            session = self._shared[name]._session(name)
        else:
            with self._lock:
                if name not in self._open:
                    unfused = name in self._unfused
                    self._open[name] = _open_graph(path, self._threads, unfused, self._device)
                session = self._open[name]
        if name in self._expected:
            check_graph(session, self._expected[name], path)
            self._expected.pop(name, None)
        return session


_ALL: WeakSet[Sessions] = WeakSet()


def _reset_all_after_fork() -> None:
    for sessions in _ALL:
        sessions.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_after_fork)


def _open_graph(path: Path, threads: int | None, unfused: bool, device: Device) -> InferenceSession:
    telemetry.switch_off()
    import onnxruntime  # imported late: it takes longer than everything else at start-up

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # shapes differ from batch to batch
    # Threads that spin while waiting take the cores from threads that decode pictures: without spinning,
    # text with pictures was 1.7 times as fast on 2 busy cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if unfused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    try:
        return open_session(path, options, device)
    except TwofoldError:
        raise
    except (
        Exception
    ) as error:  # ONNX Runtime has an exception class for each kind of error, with no common base
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} cannot open the graph: {str(error)[:300]}",
            where=str(path),
            do="install a newer onnxruntime, or export the model again",
        ) from error
