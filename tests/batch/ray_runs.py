"""Runs on a Ray cluster of two nodes on this machine; a program of its own, started by the tests.

Says on standard output what was found, as one line of JSON for each check.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ray
from batch_runs import DeadlyStep, SlowStep, posts, tree, write
from ray.cluster_utils import Cluster

import twofold
from twofold.batch.engines import run_here
from twofold.batch.inputs import ReadingOptions, Rows, find_inputs
from twofold.batch.ray_engine import run_on_ray
from twofold.batch.run import Remaining
from twofold.batch.step import Step
from twofold.cli.main import main


def say(**found: object) -> None:
    print(json.dumps(found), flush=True)


def remaining(path: Path, rows: int) -> Remaining:
    return Remaining(Rows(find_inputs([str(path)]), ReadingOptions()), rows, {})


def main_program(model: str, folder: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    extractor = twofold.load(model, threads=1)
    source = write(folder / "posts.jsonl", [*posts(120), "no post"])

    shards = remaining(source, 4)
    expected = list(run_here(Step(), extractor, shards))
    parts = []
    for part in run_on_ray(SlowStep(), extractor, shards):
        parts.append(part)
        if len(parts) == 4:
            cluster.remove_node(node, allow_graceful=False)
    say(
        check="a node killed",
        same=parts == expected,
        parts=len(parts),
        nodes=sum(n["Alive"] for n in ray.nodes()),
    )

    deadly = write(folder / "deadly.jsonl", [*posts(3), {"id": "d", "text": "deadly"}, *posts(3)])
    found = list(run_on_ray(DeadlyStep(), extractor, remaining(deadly, 4), actors=1))
    say(
        check="deadly",
        rejected=[p.counts.rejected for p in found],
        rejects=b"".join(p.rejects for p in found).decode(),
    )

    def run(*arguments: object) -> int:
        return main(["extract", "--model", model, "--shard-rows", "16", str(source), *map(str, arguments)])

    codes = [run("-o", f"{folder}/local/"), run("-o", f"{folder}/ray/", "--engine", "ray")]
    codes += [run("-o", folder / "local.jsonl"), run("-o", folder / "ray.jsonl", "--engine", "ray")]
    say(
        check="the command",
        codes=codes,
        folders=tree(folder / "local") == tree(folder / "ray"),
        files=(folder / "local.jsonl").read_bytes() == (folder / "ray.jsonl").read_bytes(),
    )
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main_program(sys.argv[1], Path(sys.argv[2]))
