"""Keeps ONNX Runtime from reporting to its makers: Twofold contacts no other host.

Releases since 1.29 do so on Linux and macOS, and write a number of the machine into the user's cache folder,
unless an environment variable says otherwise when they are imported.
"""

from __future__ import annotations

import os

VARIABLE = "ORT_DISABLE_TELEMETRY"


def switch_off() -> None:
    """Call this before ``onnxruntime`` is imported; where the variable is set already, it stays as it is."""
    os.environ.setdefault(VARIABLE, "1")
