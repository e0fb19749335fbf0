"""No library that the model needs sends telemetry or stores a machine ID."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, twofold
(found,) = twofold.load(sys.argv[1], threads=1).extract(["Anna left paris"])
print(*[entity.text for entity in found.entities])
"""


def test_onnx_runtime_stores_no_machine_id(both: Path, tmp_path: Path) -> None:
    """It stores one in the cache folder if telemetry is on, as it is by default outside of CI."""
    mute = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    environment = {name: value for name, value in os.environ.items() if name not in mute}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(both)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["Anna", "paris"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
