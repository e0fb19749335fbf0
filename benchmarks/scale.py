"""Many posts by the command itself: time and peak memory by rows, workers and engines, and random kills.

    python benchmarks/scale.py --rows 1000 10000 --workers 1 2
    python benchmarks/scale.py --rows 10000 --workers 1 --engines local ray
    python benchmarks/scale.py --rows 1000 --kills 200 --model DIR

Posts are those of a data file, again and again with a number behind, so that no text comes twice. Prints one
line of JSON for each measurement; with ``--out`` it goes to the list in that file, too. Killed runs are
compared with an undisturbed one byte for byte. The engine ray runs on a cluster of this machine that is
started before; of it, memory and processor time are those of the command alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice, product
from pathlib import Path

from twofold import Post, read_posts
from twofold.cli.main import main as main_of_twofold

_PRELOADED = [
    "scale",
    "twofold.cli.extract",
    "twofold.batch.run",
    "twofold.pipeline.extractor",
    "onnxruntime",
]
EXAMPLES = Path(__file__).parents[1] / "examples" / "posts.jsonl"


def main(arguments: list[str]) -> None:
    """Measure and print."""
    args = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, _cluster(args.engines, max(args.workers, default=1)):
        work = Path(folder)
        for rows in args.rows:
            posts = write_posts(args.posts, rows, work / f"{rows}.jsonl")
            options = ["--model", args.model, *(["--no-relations"] if args.no_relations else [])]
            for workers, engine in product(args.workers, args.engines):
                out = work / f"{rows}-{workers}-{engine}"
                more = ["--shard-rows", 250, "--workers", workers, "--engine", engine]
                used = run([posts, *options, "-o", f"{out}/", *more])
                report({"rows": rows, "workers": workers, "engine": engine} | used, arguments, args.out)
        if args.kills:
            report(kill(posts, options, work, args.kills, args.seed), arguments, args.out)


def report(found: dict[str, object], arguments: list[str], out: Path | None) -> None:
    """Print a measurement, and add it with its command to the list in a file."""
    print(json.dumps(found), flush=True)
    if out is not None:
        before = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else []
        lines = [json.dumps(item) for item in [*before, {"command": " ".join(arguments)} | found]]
        out.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


@contextmanager
def _cluster(engines: list[str], cpus: int) -> Iterator[None]:
    """A Ray cluster for the commands, where the engine is asked for."""
    if "ray" not in engines:
        yield
        return
    from ray.cluster_utils import Cluster

    node = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 200 * 1024 * 1024}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield
    finally:
        cluster.shutdown()


def write_posts(source: Path, rows: int, path: Path) -> Path:
    """As many posts of a file as are wanted, without their pictures."""
    with path.open("w", encoding="utf-8") as stream:
        for number, text in enumerate(islice(_texts(source), rows)):
            stream.write(json.dumps({"id": number, "text": f"{text} {number}"}) + "\n")
    return path


def _texts(source: Path) -> Iterator[str]:
    texts = [post.text for post in read_posts(source) if isinstance(post, Post)]
    for _ in count():
        yield from texts


def command(arguments: list[object]) -> list[str]:
    """`twofold extract` with the interpreter of this process."""
    return [sys.executable, "-m", "twofold", "extract", *map(str, arguments)]


def run(arguments: list[object]) -> dict[str, float]:
    """Seconds, processor seconds, and the peak memory in MB of the first process, of a run."""
    begin = time.perf_counter()
    child = subprocess.Popen(command(arguments), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)  # of this child and those that it waited for
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command(arguments)} gave the exit code {child.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {
        "seconds": round(time.perf_counter() - begin, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(kilobytes / 1024, 1),
    }


def kill(posts: Path, options: list[object], work: Path, kills: int, seed: int) -> dict[str, object]:
    """Runs killed at random points until the output is whole, and whether that is an undisturbed run's.

    They are forks of a process that has imported everything: a kill needs no time in which nothing is done.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(_PRELOADED)
    draw = random.Random(seed)
    shared: list[object] = [posts, *options, "--shard-rows", 1, "--threads", 1]
    whole, killed = work / "whole.jsonl", work / "killed.jsonl"
    run([*shared, "-o", whole])
    journal, done = work / "killed.jsonl.journal", 0
    while done < kills:
        child = forks.Process(target=_extract, args=([*map(str, shared), "-o", str(killed)],))
        child.start()
        goal = _lines(journal) + draw.randint(0, 4)
        while child.is_alive() and _lines(journal) < goal:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.02))
        child.kill()
        child.join()
        if child.exitcode != -signal.SIGKILL:
            break  # it came to its end before
        done += 1
    run([*shared, "-o", killed])
    return {"kills": done, "equal": killed.read_bytes() == whole.read_bytes()}


def _extract(arguments: list[str]) -> None:
    """`twofold extract` in this process, without a word."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.exit(main_of_twofold(["extract", *arguments]))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000])
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    parser.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local"])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--no-relations", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file with a list, to which measurements are added")
    parser.add_argument("--posts", type=Path, default=EXAMPLES, help="data file whose texts are used")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
