"""Runs on a Ray cluster of three nodes on this machine; a program of its own, started by the tests.

The head has no CPU, so that models run only on the two other nodes. The result of each check is one line of
JSON on standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from batch_runs import DeadlyStep, GpuStep, PidStep, command, extract, posts, write
from ray.cluster_utils import Cluster

import twofold
from twofold.batch.engines import run_here
from twofold.batch.inputs import ReadingOptions, Rows, find_inputs
from twofold.batch.ray_engine import run_on_ray
from twofold.batch.run import Remaining
from twofold.batch.step import Step

_PATIENCE_S = 120
"""Longest time until a node is seen dead, or a run has begun, on a busy machine."""
_STORE = {"object_store_memory": 80 * 1024 * 1024}


def say(**found: object) -> None:
    print(json.dumps(found), flush=True)


def until(true: Callable[[], object]) -> bool:
    """Wait until a condition is true; returns whether it was in time."""
    end = time.monotonic() + _PATIENCE_S
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def remaining(path: Path, rows: int) -> Remaining:
    return Remaining(Rows(find_inputs([str(path)]), ReadingOptions()), rows, {})


def alive() -> int:
    return sum(node["Alive"] for node in ray.nodes())


def ancestors(process: int) -> list[int]:
    """A process and its ancestors, the nearest first."""
    found = []
    while process > 1:
        found.append(process)
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def working_node(nodes: list[Any], pids: Path) -> Any:
    """The node that extracts: one of its processes is an ancestor of the first process in ``pids``."""
    lineage = ancestors(int(min(pids.iterdir(), key=lambda path: path.stat().st_mtime).name))
    (found,) = (n for n in nodes if any(p.process.pid in lineage for p in n.all_processes["raylet"]))
    return found


def node_killed(cluster: Cluster, nodes: list[Any], model: str, folder: Path, source: Path) -> None:
    extractor, pids = twofold.load(model, threads=1), folder / "pids"
    pids.mkdir()
    expected = list(run_here(Step(), extractor, remaining(source, 4)))
    parts = []
    for part in run_on_ray(PidStep(pids=str(pids)), extractor, remaining(source, 4)):
        parts.append(part)
        if len(parts) == 4:
            cluster.remove_node(working_node(nodes, pids), allow_graceful=False)
    until(lambda: alive() == 2)
    say(check="a node killed", same=parts == expected, parts=len(parts), nodes=alive())


def row_kills(model: str, folder: Path) -> None:
    deadly = write(folder / "deadly.jsonl", [*posts(3), {"id": "d", "text": "deadly"}, *posts(3)])
    extractor = twofold.load(model, threads=1)
    found = list(run_on_ray(DeadlyStep(), extractor, remaining(deadly, 4), actors=1))
    rejects = b"".join(part.rejects for part in found).decode()
    say(check="deadly", rejected=[part.counts.rejected for part in found], rejects=rejects)


def command_killed(model: str, folder: Path, source: Path) -> None:
    """A run that is killed, refused with another option, and resumed, compared with a local run."""
    local, cluster = folder / "local.jsonl", folder / "ray.jsonl"
    journal = folder / "ray.jsonl.journal"

    def arguments(out: Path, *more: object) -> list[object]:
        return [source, "--model", model, "--shard-rows", 4, "-o", out, *more]

    def parts() -> int:
        return journal.read_bytes().count(b"\n") - 1 if journal.is_file() else 0

    codes = [extract(*arguments(local)).returncode]
    run = subprocess.Popen(command(*arguments(cluster, "--engine", "ray")), stderr=subprocess.DEVNULL)
    until(lambda: run.poll() is not None or parts() > 1)
    run.kill()
    codes.append(run.wait())
    before = parts()
    other = extract(*arguments(cluster, "--engine", "ray", "--min-confidence", "0.5"))
    ended = extract(*arguments(cluster, "--engine", "ray"))
    say(
        check="the command killed", codes=[*codes, other.returncode, ended.returncode],
        same=local.read_bytes() == cluster.read_bytes(), midway=1 < before < 32, refused=other.stderr,
        ended=ended.stderr,
    )  # fmt: skip


def changed_input(model: str, folder: Path) -> None:
    """The reader runs on the cluster; its error is raised here unchanged."""
    source = write(folder / "changed.jsonl", list(posts(8)))
    extractor = twofold.load(model, threads=1)
    done = {0: next(iter(run_here(Step(), extractor, remaining(source, 4))))}
    rows = Rows(find_inputs([str(write(source, list(posts(9))[1:]))]), ReadingOptions())
    try:
        list(run_on_ray(Step(), extractor, Remaining(rows, 4, done), actors=1))
    except twofold.TwofoldError as error:
        say(check="changed input", error=f"{type(error).__name__}: {error}")


def on_gpus(cluster: Cluster, model: str, source: Path) -> None:
    """Refused without a GPU; then one actor for each of two GPUs that exist only in Ray's resources."""
    extractor = twofold.load(model, threads=1, device="cuda")

    def refused() -> str:
        try:
            list(run_on_ray(Step(), extractor, remaining(source, 4)))
        except twofold.TwofoldError as error:
            return f"{type(error).__name__}: {error}"
        return ""

    none = refused()
    cluster.add_node(num_cpus=2, num_gpus=2, **_STORE)
    until(lambda: ray.cluster_resources().get("GPU"))
    parts = list(run_on_ray(GpuStep(), extractor, remaining(source, 4)))
    gpus = sorted({part.output.decode() for part in parts})
    say(check="gpus", none=none, gpus=gpus, order=[part.number for part in parts], no_build=refused())


def main_program(model: str, folder: Path) -> None:
    head = {"num_cpus": 0, "include_dashboard": False, **_STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(num_cpus=1, **_STORE) for _ in range(2)]
        os.environ["RAY_ADDRESS"] = cluster.address
        ray.init(address=cluster.address, log_to_driver=False)
        source = write(folder / "posts.jsonl", [*posts(127), "no post"])
        node_killed(cluster, nodes, model, folder, source)
        row_kills(model, folder)
        changed_input(model, folder)
        command_killed(model, folder, source)
        on_gpus(cluster, model, source)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main_program(sys.argv[1], Path(sys.argv[2]))
