"""Time whole processes: start to first line against bare imports; many posts with relations and report."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from extraction import extract, write_posts
from timing import Ratio, Work, interleave, ratio

import twofold

_TWOFOLD = "from twofold.cli.main import entry; entry()"
_TEXT = "Sunset over the Seine, and Nora Lindqvist says Paris is overrated"
MANY = 1000
"""Number of posts of a whole process."""
_PICTURE = Path(__file__).parents[1] / "examples" / "photos" / "eiffelTower.jpg"


def compare(folder: Path | None, rounds: int) -> list[Ratio]:
    """Time ``twofold extract --text …``, with and without a picture, until its first line."""
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


def whole_process(folder: Path | None, work: Path, rounds: int, threads: int) -> list[Ratio]:
    """Time ``twofold extract`` of many posts with pictures, relations and a report, from start to end.

    It is compared with the extraction alone, with a model that is already loaded.
    """
    posts = write_posts(work / "whole", MANY, pictures=True)
    command = [sys.executable, "-c", _TWOFOLD, "extract", str(posts), "--threads", str(threads)]
    command += ["-o", str(work / "whole.jsonl"), "--report", str(work / "whole.html")]
    command += ["--model", str(folder)] if folder else []
    model = twofold.load(folder, threads=threads)
    ours, inside = f"whole process, {MANY} posts with pictures, everything on", "extraction by an open model"
    works: dict[str, Work] = {
        ours: partial(subprocess.run, command, check=True, capture_output=True),
        inside: partial(extract, model, posts),
    }
    return [ratio(interleave(works, rounds), ours, inside, "start, report and files included")]


def _first_line(command: list[str]) -> None:
    """Start a program and wait for its first line; the time until it ends is not measured."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:
            process.kill()
            return
        _, errors = process.communicate()
    raise RuntimeError(f"no line of output: {errors.strip()[-500:]}")
