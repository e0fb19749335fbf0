"""The device that runs the graphs: the CPU, or a GPU through the CUDA provider of ONNX Runtime.

Where ONNX Runtime cannot use the GPU, it silently falls back to the CPU; here that is an error. It does not
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
"""Products in float32, as in calibration; and kernels that are chosen without timing them, so that a resumed
run gives the results of an uninterrupted one."""
_INSTALL = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
_PRODUCT_IN_8_BITS = b"MatMulInteger"


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
        Exception: what ONNX Runtime raises where a graph cannot be opened on the CPU.
    """
    import onnxruntime  # imported late: it takes longer than everything else at start-up

    if device == "cpu":
        return onnxruntime.InferenceSession(str(path), options, providers=[_CPU])
    _check_build(onnxruntime)
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21; libraries from pip are not on any search path
        with redirect_stdout(sys.stderr):  # it prints missing libraries; stdout may hold results
            onnxruntime.preload_dlls()
    options.use_deterministic_compute = True
    providers = [(_CUDA, _SETTINGS), _CPU]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # it has an exception class for each kind of error, with no common base
        raise _unusable(onnxruntime, path, f"cannot open the graph on a GPU: {str(error)[:300]}") from error
    if session.get_providers()[0] != _CUDA:
        raise _unusable(onnxruntime, path, "cannot use a GPU, and fell back to the CPU")
    return session


def _check_build(onnxruntime: Any) -> None:
    found = onnxruntime.get_available_providers()
    if _CUDA not in found:
        raise MissingExtraError(
            f"this ONNX Runtime {onnxruntime.__version__} has no {_CUDA}, only {', '.join(found)}",
            where="device cuda",
            expected="its build for NVIDIA GPUs, which replaces the package onnxruntime",
            do=f"pip uninstall onnxruntime, then {_INSTALL}; or use the device cpu",
        )


def _unusable(onnxruntime: Any, path: Path, what: str) -> ConfigError:
    cuda = " ".join(filter(None, ("CUDA", getattr(onnxruntime, "cuda_version", ""))))
    return ConfigError(
        f"device cuda: ONNX Runtime {onnxruntime.__version__} {what}",
        where=str(path),
        expected=f"an NVIDIA GPU with its driver, and the libraries of {cuda} and cuDNN",
        do=f"install them ({_INSTALL}), or use the device cpu",
    )


def has_8_bit_products(path: Path) -> bool:
    """Whether a graph has 8-bit matrix products, for which ONNX Runtime has no GPU kernel.

    These products then run on the CPU, with copies to it and back.
    """
    return _PRODUCT_IN_8_BITS in path.read_bytes()  # the file has names of operators as plain text
