"""Helpers of the tests of batch runs: many small posts, and the command as a process."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from twofold.batch.counts import Counts
from twofold.batch.shards import Shard
from twofold.batch.step import Part, Step
from twofold.pipeline.extractor import Extractor
from twofold.posts import Post

_ENTRY = "from twofold.cli.main import entry; entry()"


def posts(count: int) -> list[dict]:
    """Distinct posts, some without an entity."""
    names = ("Anna", "nobody", "NATO met Bob", "paris", "")
    return [{"id": i, "text": f"{names[i % 5]} left {i * i} {names[i % 3]}"} for i in range(count)]


def write(path: Path, rows: list[object]) -> Path:
    """Write JSON Lines; a string is written unchanged, as a line."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def command(*arguments: object) -> list[str]:
    """The command line of `twofold extract` as a program."""
    return [sys.executable, "-c", _ENTRY, "extract", *map(str, arguments)]


def extract(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def fork(*arguments: object) -> BaseProcess:
    """Run the command silently in a fork of a process that has imported everything, for many quick runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["onnxruntime", "tokenizers", "twofold.cli.extract", "twofold.batch.run"])
    child = context.Process(target=_in_silence, args=(["extract", *map(str, arguments)],))
    child.start()
    return child


def _in_silence(arguments: list[str]) -> None:
    from twofold.cli.main import main

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    main(arguments)


def tree(folder: Path) -> dict[str, bytes]:
    """Content of all files of a folder, by path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class DeadlyStep(Step):
    """A step that kills its process on a post with the text "deadly", as a fault in a decoder would."""

    def run(self, extractor: Extractor, shard: Shard) -> Part:
        if any(isinstance(item, Post) and item.text == "deadly" for item in shard.items):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(extractor, shard)


class GpuStep(Step):
    """A step whose result is the name of the GPU that its process may use."""

    def run(self, extractor: Extractor, shard: Shard) -> Part:
        time.sleep(0.5)
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        place = shard.number, shard.first, len(shard.items), shard.digest, shard.position
        return Part(*place, gpu.encode(), b"", Counts())


@dataclass(frozen=True)
class PidStep(Step):
    """A step that writes its process id to a folder, and takes long enough to be killed."""

    pids: str = ""

    def run(self, extractor: Extractor, shard: Shard) -> Part:
        (Path(self.pids) / str(os.getpid())).touch()
        time.sleep(0.3)
        return super().run(extractor, shard)
