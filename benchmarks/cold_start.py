"""Cold start: from the start of the process to the first line of output, against bare imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from timing import Ratio, interleave, ratio

_TWOFOLD = "from twofold.cli.main import entry; entry()"
_TEXT = "Sunset over the Seine, and Nora Lindqvist says Paris is overrated"
_PICTURE = Path(__file__).parents[1] / "examples" / "photos" / "eiffelTower.jpg"


def compare(folder: Path | None, rounds: int) -> list[Ratio]:
    """Time ``twofold extract --text …`` with and without a picture to its first line."""
    command = [sys.executable, "-c", _TWOFOLD, "extract", "--text", _TEXT]
    if folder is not None:
        command += ["--model", str(folder)]
    imports, text, picture = "python, onnxruntime and numpy", "first entity", "first entity, with a picture"
    works = {
        imports: lambda: _first_line([sys.executable, "-c", "import onnxruntime, numpy; print()"]),
        text: lambda: _first_line(command),
        picture: lambda: _first_line([*command, "--image", str(_PICTURE)]),
    }
    seconds = interleave(works, rounds)
    return [ratio(seconds, text, imports), ratio(seconds, picture, imports)]


def _first_line(command: list[str]) -> None:
    """Start a program and wait for its first line; how long it takes to end does not count."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:
            process.kill()
            return
        _, complaint = process.communicate()
    raise RuntimeError(f"no line of output: {complaint.strip()[-500:]}")
