"""Runs killed with SIGKILL at random points and resumed until they end: no row is lost or repeated."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import tiny_model
from batch_runs import command, extract, fork, posts, tree, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL"),
]
ROWS, SHARD = 450, 15


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and posts, some of them broken."""
    folder = tmp_path_factory.mktemp("kills")
    tiny_model.build(folder / "model")
    rows: list[object] = list(posts(ROWS))
    rows[::97] = ["no json"] * len(rows[::97])
    write(folder / "posts.jsonl", rows)
    return folder


class Run(Protocol):
    """A process that runs the command."""

    def kill(self) -> None: ...
    def ended(self) -> bool: ...
    def wait(self) -> object: ...


class Command(subprocess.Popen[bytes]):
    """The command as a program of its own."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(command(*arguments), stderr=subprocess.DEVNULL)

    def ended(self) -> bool:
        return self.poll() is not None


class Fork:
    """The command in a fork; see `fork`."""

    def __init__(self, *arguments: object) -> None:
        self._process = fork(*arguments)
        self.kill, self.wait = self._process.kill, self._process.join

    def ended(self) -> bool:
        return not self._process.is_alive()


def run_killed(
    arguments: list[object], done: Path, kills: int, seed: int, start: Callable[..., Run] = Command
) -> None:
    """Kill a run several times, each time after a random number of further parts, then let it end."""
    draw = random.Random(seed)
    for _ in range(kills):
        before, child = parts(done), start(*arguments)
        goal = before + draw.randint(0, 6)
        while not child.ended() and parts(done) < goal:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.03))
        child.kill()
        child.wait()
    finished = extract(*arguments)
    assert finished.returncode == 1, finished.stderr  # some records were rejected


def parts(done: Path) -> int:
    """Number of written parts, from the journal of a file or the manifest of a folder."""
    if done.is_dir():
        return len(list(done.glob("part-*.json")))
    return done.read_bytes().count(b"\n") if done.is_file() else 0


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv.gz", "out.parquet"])
def test_a_file(place, tmp_path, name):
    arguments = [place / "posts.jsonl", "--model", place / "model", "--shard-rows", SHARD, "--threads", 1]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert extract(*arguments, "-o", whole / name, "--rejects", whole / "no.jsonl").returncode == 1
    out = killed / name
    run_killed([*arguments, "-o", out, "--rejects", killed / "no.jsonl"], killed / f"{name}.journal", 3, 7)
    assert tree(killed) == tree(whole)


def test_a_folder_by_two_processes(place, tmp_path):
    arguments = [place / "posts.jsonl", "--model", place / "model", "--shard-rows", SHARD]
    alone = extract(*arguments, "-o", f"{tmp_path / 'whole'}/")
    assert alone.returncode == 1, alone.stderr
    killed = tmp_path / "killed"
    run_killed([*arguments, "--workers", 2, "-o", f"{killed}/"], killed / "_manifest", 3, 11)
    whole = tree(tmp_path / "whole")
    assert {name: data for name, data in tree(killed).items() if not name.endswith(".part")} == whole
    text = b"".join(whole[name] for name in sorted(whole) if name.startswith("part-"))
    assert text.count(b"\n") == ROWS - len(range(0, ROWS, 97))


def test_a_run_ended_by_a_full_disk_is_resumed_once_there_is_room(place, tmp_path):
    resource = pytest.importorskip("resource")
    arguments = [place / "posts.jsonl", "--model", place / "model", "--threads", 1, "--shard-rows", SHARD]
    assert extract(*arguments, "-o", tmp_path / "whole.jsonl").returncode == 1
    whole = (tmp_path / "whole.jsonl").read_bytes()
    full = subprocess.run(
        command(*arguments, "-o", tmp_path / "out.jsonl"), capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2,) * 2),
    )  # fmt: skip
    assert full.returncode == 2
    assert "cannot be written: File too large" in full.stderr
    assert parts(tmp_path / "out.jsonl.journal") > 5
    assert extract(*arguments, "-o", tmp_path / "out.jsonl").returncode == 1
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_many_kills(place, tmp_path):
    arguments = [place / "posts.jsonl", "--model", place / "model", "--shard-rows", 2, "--threads", 1]
    assert extract(*arguments, "-o", tmp_path / "whole.jsonl").returncode == 1
    run_killed([*arguments, "-o", tmp_path / "killed.jsonl"], tmp_path / "killed.jsonl.journal", 40, 13, Fork)
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_worker_processes_end_when_the_main_one_is_killed(place, tmp_path):
    arguments = [place / "posts.jsonl", "--model", place / "model", "--shard-rows", SHARD, "--workers", 2]
    child = subprocess.Popen(
        command(*arguments, "-o", f"{tmp_path / 'out'}/"), stderr=subprocess.DEVNULL, start_new_session=True
    )
    while child.poll() is None and not parts(tmp_path / "out" / "_manifest"):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 30
    while _group_is_running(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _group_is_running(child.pid)


def _group_is_running(group: int) -> bool:
    """Whether a process of a group is running; zombies do not count."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = status.read_text().rpartition(") ")
        except OSError:
            continue
        state, _, of = rest.split()[:3]
        if int(of) == group and state != "Z":
            return True
    return False
