"""Runs in processes of their own, with workers that take no time: resuming, failing, ending."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twofold.experiments.plan import Run, runs_of
from twofold.experiments.runs import Options, Runs
from twofold.experiments.table import read_table

GOOD = """
import json, os, pathlib, sys
folder, job = pathlib.Path(sys.argv[1]), json.loads(sys.stdin.readline())
with (folder / "times.txt").open("a") as times:
    times.write(f"{job['id']} {os.environ['OMP_NUM_THREADS']}\\n")
if (folder.parent / f"bad-{job['config']['training']['seed']}").exists():
    (folder / "error.txt").write_text("first line\\nno luck\\n")
    sys.exit(1)
(folder / "result.json").write_text(json.dumps({"settings": job["settings"]}))
"""


@pytest.fixture
def worker(tmp_path: Path):
    """Options with a worker that runs the given program."""

    def make(program: str = GOOD, jobs: int = 2) -> Options:
        (tmp_path / "worker.py").write_text(program, encoding="utf-8")
        return Options(jobs=jobs, threads=1, worker=(sys.executable, str(tmp_path / "worker.py")))

    return make


@pytest.fixture
def planned(table_file: Path) -> list[Run]:
    return runs_of(read_table(table_file))


def test_every_run_is_executed_once(planned, worker, tmp_path):
    runs, lines = Runs(tmp_path / "runs"), []
    assert runs.do([*planned, planned[0]], worker(), lines.append) == []
    assert runs.do(planned, worker(), lines.append) == []
    for run in planned:
        assert (runs.folder_of(run) / "times.txt").read_text().split() == [run.id, "1"]
        assert runs.result(run) is not None
    assert [line for line in lines if line.startswith("[4/4]")]


def test_a_failure_is_reported_and_stops_no_other_run(planned, worker, tmp_path):
    runs, lines = Runs(tmp_path / "runs"), []
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "bad-1").touch()
    failed = runs.do(planned, worker(jobs=1), lines.append)
    assert [run.seed for run in failed] == [1, 1]
    assert [runs.result(run) is None for run in planned] == [True, True, False, False]
    assert sum("failed: no luck" in line for line in lines) == 2
    (tmp_path / "runs" / "bad-1").unlink()
    assert runs.do(planned, worker(), lines.append) == []


def test_a_worker_that_dies_without_an_error_message_is_reported(planned, worker, tmp_path):
    lines: list[str] = []
    Runs(tmp_path / "runs").do(planned[:1], worker("import os; os.abort()"), lines.append)
    assert "its process ended with code" in lines[-1]


def test_as_many_jobs_run_at_a_time_as_asked(planned, worker, tmp_path):
    """Each worker waits until as many workers run as a file asks for, and counts them."""
    program = (
        GOOD
        + """
import time
here = folder.parent.parent / "here"
(here / job["id"].replace("/", "-")).touch()
wanted, until = int((here.parent / "wanted").read_text()), time.monotonic() + 30
while len(list(here.iterdir())) < wanted and time.monotonic() < until:
    time.sleep(0.01)
with (here.parent / "seen.txt").open("a") as seen:
    seen.write(f"{len(list(here.iterdir()))}\\n")
if wanted == 1:
    (here / job["id"].replace("/", "-")).unlink()
"""
    )
    for jobs in (4, 1):
        place = tmp_path / str(jobs)
        (place / "here").mkdir(parents=True)
        (place / "wanted").write_text(str(jobs))
        Runs(place / "runs").do(planned, worker(program, jobs=jobs), lambda line: None)
        assert (place / "seen.txt").read_text().split() == [str(jobs)] * 4


def test_a_result_with_other_defaults_is_ignored(planned, worker, tmp_path):
    runs = Runs(tmp_path / "runs")
    runs.do(planned, worker(), lambda line: None)
    path = runs.folder_of(planned[0]) / "result.json"
    found = json.loads(path.read_text())
    found["settings"]["training.max_grad_norm"] = 99.0
    path.write_text(json.dumps(found))
    assert runs.result(planned[0]) is None
    # A setting that did not exist when the run was executed is at its default.
    del found["settings"]["training.max_grad_norm"]
    path.write_text(json.dumps(found))
    assert runs.result(planned[0]) is not None


def test_workers_end_with_the_command_that_started_them(table_file, tmp_path):
    """When the command is killed, no process stays behind that continues the run."""
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text(
        "import sys, pathlib, threading, time\n"
        "from twofold.experiments.worker import _end_with_parent\n"
        "folder = pathlib.Path(sys.argv[1]); sys.stdin.buffer.readline()\n"
        "threading.Thread(target=_end_with_parent, daemon=True).start()\n"
        "while True:\n    (folder / 'alive').write_text(str(time.time())); time.sleep(0.05)\n"
    )
    program = (
        "import sys; from pathlib import Path; from twofold.experiments.plan import runs_of\n"
        "from twofold.experiments.runs import Options, Runs\n"
        "from twofold.experiments.table import read_table\n"
        f"Runs(Path({str(tmp_path / 'runs')!r})).do(runs_of(read_table(Path({str(table_file)!r})))[:1],"
        f" Options(worker=(sys.executable, {str(sleeper)!r})), print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (alive := list((tmp_path / "runs").glob("*/alive"))):
        assert time.monotonic() < until
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    last = None
    while last != (last := alive[0].read_text()):  # ten times the interval between its signs of life
        assert time.monotonic() < until
        time.sleep(0.5)
