"""Switches off the telemetry of ONNX Runtime: Twofold contacts no other host.

Since version 1.29, ONNX Runtime sends telemetry on Linux and macOS, and writes a machine ID into the user's
cache folder, unless an environment variable disables this when it is imported.
"""

from __future__ import annotations

import os

VARIABLE = "ORT_DISABLE_TELEMETRY"


def switch_off() -> None:
    """Disable telemetry; call this before ``onnxruntime`` is imported. A variable that is set is kept."""
    os.environ.setdefault(VARIABLE, "1")
