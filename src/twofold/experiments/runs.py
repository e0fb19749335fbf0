"""Runs, each in its own process: finished runs are kept, and a failed run is reported and stops no other.

Each run has a folder with ``job.json`` (its settings), ``result.json`` (only once it is finished),
``log.txt``, and ``error.txt`` where it failed. Processes end with the one that started them, and two
commands on one folder never execute the same run. How a run is executed is up to the worker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twofold.experiments.plan import Run, flat, original_names
from twofold.experiments.worker import BUSY, ERROR, RESULT

Report = Callable[[str], None]
Result = Mapping[str, Any]
WORKER = (sys.executable, "-m", "twofold.experiments.worker")
LOG = "log.txt"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Options:
    """How runs are executed.

    Attributes:
        jobs: number of processes at a time. threads: of each process.
        keep_models: do not delete model folders.
        worker: the command that executes a run; the run's folder is its last argument.
    """

    jobs: int = 1
    threads: int = 1
    keep_models: bool = False
    worker: Sequence[str] = WORKER


class Runs:
    """The runs under one folder.

    Args:
        folder: of all runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def folder_of(self, run: Run) -> Path:
        """Folder of a run."""
        return self.folder / run.id

    def result(self, run: Run) -> Result | None:
        """The result of a run; None where it is not finished, or was executed with other defaults."""
        path = self.folder_of(run) / RESULT
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        outcomes = found.get("outcomes", {})
        if "ways" in outcomes:  # name of ``counts`` in the previous version
            outcomes["counts"] = outcomes.pop("ways")
        return found if _same(found["settings"], run) else None

    def do(self, runs: Sequence[Run], options: Options, report: Report) -> list[Run]:
        """Execute the runs that have no result yet.

        Returns:
            Those that failed, or that another process is executing.
        """
        waiting = deque(run for run in _distinct(runs) if self.result(run) is None)
        progress = _Progress(len(waiting))
        active: dict[Run, subprocess.Popen[bytes]] = {}
        failed: list[Run] = []
        try:
            while waiting or active:
                while waiting and len(active) < options.jobs:
                    run = waiting.popleft()
                    report(f"started: {run.name}  ({run.id})")
                    active[run] = self._start(run, options)
                for run in [run for run, process in active.items() if process.poll() is not None]:
                    code = _close(active.pop(run))
                    report(progress.line(run, self._outcome(run, code)))
                    if self.result(run) is None:
                        failed.append(run)
                time.sleep(0.1)
        finally:  # interrupted: a process ends when its standard input is closed
            for process in active.values():
                process.terminate()
                _close(process)
        return failed

    def _start(self, run: Run, options: Options) -> subprocess.Popen[bytes]:
        folder = self.folder_of(run)
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | dict.fromkeys(_THREADS, str(options.threads))
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                [*options.worker, str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; see its exit code
            process.stdin.write(json.dumps(_job(run, options)).encode() + b"\n")
            process.stdin.flush()
        return process

    def _outcome(self, run: Run, code: int) -> str:
        folder = self.folder_of(run)
        if self.result(run) is not None:
            return "finished"
        if code == BUSY:
            return "is being executed by another process"
        error = folder / ERROR
        lines = error.read_text(encoding="utf-8").strip().splitlines() if error.exists() else []
        why = lines[-1] if lines else f"its process ended with code {code}"
        return f"failed: {why} (more in {folder / LOG} and {ERROR} beside it)"


@dataclass
class _Progress:
    """How many of the runs have ended."""

    total: int
    ended: int = 0

    def line(self, run: Run, outcome: str) -> str:
        self.ended += 1
        return f"[{self.ended}/{self.total}] {run.name}: {outcome}"


def _distinct(runs: Sequence[Run]) -> list[Run]:
    """One run of each id: two methods of a table may have the same configuration."""
    return list({run.id: run for run in runs}.values())


def _same(settings: Mapping[str, Any], run: Run) -> bool:
    """Whether a run was executed with the current settings; settings newer than it are at their defaults."""
    now = original_names(flat(run.config))
    return all(now.get(name) == value for name, value in original_names(settings).items())


def _job(run: Run, options: Options) -> dict[str, Any]:
    training = dataclasses.replace(run.config.training, threads=options.threads)
    config = dataclasses.replace(run.config, training=training)
    return {
        "id": run.id,
        "config": asdict(config),
        "report": str(run.report),
        "settings": flat(run.config),
        "hashes": dict(run.hashes),
        "keep_model": options.keep_models,
    }


def _close(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    return process.wait()
