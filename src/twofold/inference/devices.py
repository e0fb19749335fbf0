"""What computes the graphs: the processor, or a GPU through the CUDA provider of ONNX Runtime.

Where ONNX Runtime cannot use the GPU, it takes the processor without an error; here that is one. It does not
know what graphs compute.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from twofold.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SETTINGS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
"""Products in float32, as scores were calibrated; and kernels that are not chosen by their speed in this run,
so that a run that goes on gives what an undisturbed one gives."""
_INSTALL = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
_WITHOUT_KERNEL = b"MatMulInteger"


def check_device(name: str) -> Device:
    """The device of this name.

    Raises:
        ConfigError: there is none.
    """
    for device in DEVICES:
        if device == name:
            return device
    raise ConfigError(f"device is {name!r:.80}", expected=" or ".join(DEVICES))


def open_session(path: Path, options: SessionOptions, device: Device) -> InferenceSession:
    """Open a graph on a device.

    Raises:
        MissingExtraError: this build of ONNX Runtime has no provider for the device.
        ConfigError: the device cannot be used.
        Exception: what ONNX Runtime raises where a graph cannot be opened on a processor.
    """
    import onnxruntime  # imported late: it takes longer than everything else at start-up

    if device == "cpu":
        return onnxruntime.InferenceSession(str(path), options, providers=[_CPU])
    _check_build(onnxruntime)
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21; libraries that pip installed are on no search path
        with redirect_stdout(sys.stderr):  # it prints what it misses, and results may go to standard output
            onnxruntime.preload_dlls()
    options.use_deterministic_compute = True
    providers = [(_CUDA, _SETTINGS), _CPU]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # it has an exception class for each kind of error, with no common base
        raise _unusable(onnxruntime, path, f"cannot open the graph on a GPU: {str(error)[:300]}") from error
    if session.get_providers()[0] != _CUDA:
        raise _unusable(onnxruntime, path, "cannot use a GPU, and took the processor")
    return session


def _check_build(onnxruntime: Any) -> None:
    found = onnxruntime.get_available_providers()
    if _CUDA not in found:
        raise MissingExtraError(
            f"this ONNX Runtime {onnxruntime.__version__} has no {_CUDA}, only {', '.join(found)}",
            where="device cuda",
            expected="its build for GPUs of NVIDIA, which takes the place of the package onnxruntime",
            do=f"pip uninstall onnxruntime, then {_INSTALL}; or take the device cpu",
        )


def _unusable(onnxruntime: Any, path: Path, what: str) -> ConfigError:
    cuda = " ".join(filter(None, ("CUDA", getattr(onnxruntime, "cuda_version", ""))))
    return ConfigError(
        f"device cuda: ONNX Runtime {onnxruntime.__version__} {what}",
        where=str(path),
        expected=f"a GPU of NVIDIA with its driver, and the libraries of {cuda} and cuDNN",
        do=f"install them ({_INSTALL}), or take the device cpu",
    )


def runs_on_processor(path: Path) -> bool:
    """Whether products of a graph are in 8 bits: ONNX Runtime has no kernel for them on a GPU.

    They are computed on the processor then, with copies to it and back.
    """
    return _WITHOUT_KERNEL in path.read_bytes()  # names of operators stand in the file as they are
