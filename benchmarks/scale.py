"""Run the command on many posts: time and peak memory by rows, workers and engines, and random kills.

    python benchmarks/scale.py --rows 1000 10000 --workers 1 2
    python benchmarks/scale.py --rows 10000 --workers 1 --engines local ray
    python benchmarks/scale.py --rows 1000 10000 --workers 1 --posts FILE --pictures
    python benchmarks/scale.py --rows 100000 --read-only
    python benchmarks/scale.py --rows 1000 --kills 200 --model DIR

Posts are those of a data file, or the lines of a text file, repeated with a number appended, so that all
texts differ; the number is also appended to the picture files. Prints one line of JSON per measurement; with
``--out`` it is also added to the list in that file. Killed runs are compared byte for byte with an
uninterrupted one. The engine ray runs on a local cluster that is started beforehand; memory and CPU time are
then those of the command only.

``cpu_ms_per_post`` and ``posts_per_second`` exclude the start-up: they are of the posts beyond those of a
short run with 20 posts per worker, which comes first for each number of workers and each engine.
``--read-only`` measures the work of the first process, which does not depend on the number of workers:
reading posts and splitting them into shards with their hashes, without and with packing the shards for
another process.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice, product
from pathlib import Path

from twofold import Post, read_posts
from twofold.batch.inputs import ReadingOptions, Rows, find_inputs
from twofold.batch.shards import cut
from twofold.cli.main import main as main_of_twofold
from twofold.errors import DataError

_PRELOADED = [
    "scale",
    "twofold.cli.extract",
    "twofold.batch.run",
    "twofold.pipeline.extractor",
    "onnxruntime",
]
EXAMPLES = Path(__file__).parents[1] / "examples" / "posts.jsonl"
_SHORT_ROWS = 20
"""Rows per worker of the short run, which measures the start-up: all graphs are opened."""
_ROUNDS = 3
"""Rounds of reading alone."""
_OWN = Path("own")
"""Value of ``--pictures`` without a folder: the posts' own pictures."""


def main(arguments: list[str]) -> None:
    """Run the measurements and print them."""
    args = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, _cluster(args.engines, max(args.workers, default=1)):
        work = Path(folder)
        options = ["--model", args.model, "--device", args.device]
        options += ["--no-relations"] if args.no_relations else []
        settings = {
            (workers, engine): [*options, "--workers", workers, "--engine", engine]
            for workers, engine in product(args.workers, args.engines)
        }
        short = {
            key: _measured(args, _short_rows(key[0]), work, more, _SHORT_ROWS)
            for key, more in settings.items()
        }
        for rows, ((workers, engine), more) in product(args.rows, settings.items()):
            used = _measured(args, rows, work, more, args.shard_rows)
            found = {"rows": rows, "workers": workers, "engine": engine} | used
            if rows > _short_rows(workers):
                found |= _without_start(rows - _short_rows(workers), used, short[workers, engine], engine)
            report(found, arguments, args.out)
        for rows, packed in product(args.rows if args.read_only else [], (False, True)):
            posts = write_posts(args.posts, rows, work, args.pictures)
            read = read_alone(posts, packed, args.shard_rows)
            report({"rows": rows, "reads": True, "packed": packed} | read, arguments, args.out)
        if args.kills:
            posts = write_posts(args.posts, args.rows[-1], work, args.pictures)
            report(kill(posts, options, work, args.kills, args.seed), arguments, args.out)


def _short_rows(workers: int) -> int:
    """Number of rows of the short run."""
    return _SHORT_ROWS * workers


def _measured(
    args: argparse.Namespace, rows: int, work: Path, options: list[object], shard_rows: int
) -> dict[str, float]:
    """Time and memory of a run over this number of posts."""
    posts = write_posts(args.posts, rows, work, args.pictures)
    with tempfile.TemporaryDirectory(dir=work) as out:
        return run([posts, *options, "--shard-rows", shard_rows, "-o", f"{out}/found/"])


def _without_start(
    rows: int, used: dict[str, float], short: dict[str, float], engine: str
) -> dict[str, float]:
    """Time per post beyond the short run; the CPU time of a cluster is not known."""
    found = {"posts_per_second": round(rows / max(used["seconds"] - short["seconds"], 0.01), 1)}
    if engine == "local":
        milliseconds = 1000 * (used["cpu_seconds"] - short["cpu_seconds"]) / rows
        found["cpu_ms_per_post"] = round(milliseconds, 2)
    return found


def report(found: dict[str, object], arguments: list[str], out: Path | None) -> None:
    """Print a measurement, and append it with its command, without folder names, to the list in a file."""
    print(json.dumps(found), flush=True)
    if out is not None:
        command_line = " ".join(
            ["benchmarks/scale.py", *(x if x.startswith("-") else Path(x).name for x in arguments)]
        )
        before = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else []
        lines = [json.dumps(item) for item in [*before, {"command": command_line} | found]]
        out.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


@contextmanager
def _cluster(engines: list[str], cpus: int) -> Iterator[None]:
    """Start a Ray cluster for the commands, if one of the engines is ray."""
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


def write_posts(source: Path, rows: int, work: Path, pictures: Path | None = None) -> Path:
    """Write a file with this number of posts, unless it exists from another run.

    Args:
        source: posts, or texts.
        rows: number of posts.
        work: folder of the new files.
        pictures: folder of pictures, which are assigned to the posts in turn; `_OWN` for the posts' own
            pictures, None for none.
    """
    path = work / f"{rows}.jsonl"
    if path.is_file():
        return path
    (work / "pictures").mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for number, (text, picture) in enumerate(islice(_repeated_posts(source, pictures), rows)):
            record: dict[str, object] = {"id": number, "text": f"{text} {number}"}
            if picture is not None:
                record["image"] = f"pictures/{number}{picture.suffix}"
                _write_picture(picture, number, work / f"pictures/{number}{picture.suffix}")
            stream.write(json.dumps(record) + "\n")
    return path


def _write_picture(picture: Path, number: int, path: Path) -> None:
    """Write a distinct copy: the number follows the end of the picture, where decoders ignore it."""
    if not path.is_file():
        path.write_bytes(picture.read_bytes() + number.to_bytes(4, "little"))


def _repeated_posts(source: Path, pictures: Path | None) -> Iterator[tuple[str, Path | None]]:
    """Endless stream of texts with a picture each; nothing is kept, since memory is measured."""
    folder = pictures if pictures not in (None, _OWN) else None
    files = cycle(sorted(filter(_is_picture, folder.rglob("*"))) if folder else [None])
    while True:
        for post in _posts(source):
            own = post.image if isinstance(post.image, Path) else None
            yield post.text, own if pictures == _OWN else next(files)


def _is_picture(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith("image/")


def _posts(source: Path) -> Iterator[Post]:
    try:
        posts = read_posts(source)
    except DataError:  # not a known format: one text per line
        with source.open(encoding="utf-8") as stream:
            yield from (Post(0, line.strip()) for line in stream)
    else:
        yield from (post for post in posts if isinstance(post, Post))


def command(arguments: list[object]) -> list[str]:
    """Command line of `twofold extract` with the interpreter of this process."""
    return [sys.executable, "-m", "twofold", "extract", *map(str, arguments)]


def run(arguments: list[object]) -> dict[str, float]:
    """Run `twofold extract`; returns seconds, CPU seconds, and the peak memory in MB of the first process."""
    begin = time.perf_counter()
    child = subprocess.Popen(command(arguments), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)  # of this child and its finished children
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command(arguments)} gave the exit code {child.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {
        "seconds": round(time.perf_counter() - begin, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(kilobytes / 1024, 1),
    }


def read_alone(posts: Path, packed: bool, shard_rows: int) -> dict[str, float]:
    """Time of reading posts and splitting them into shards, optionally with packing for another process.

    The minimum over some rounds, since other load on the machine only adds to it.
    """
    rows = Rows(find_inputs([str(posts)]), ReadingOptions())
    rounds, count = [], 0
    for _ in range(_ROUNDS):
        begin, cpu, count = time.perf_counter(), time.process_time(), 0
        for shard in cut(rows, shard_rows):
            count += len(shard.items)
            if packed:
                pickle.dumps(shard, pickle.HIGHEST_PROTOCOL)
        rounds.append((time.perf_counter() - begin, time.process_time() - cpu))
    seconds, cpu = map(min, zip(*rounds, strict=True))
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "posts_per_second": round(count / seconds),
        "cpu_ms_per_post": round(1000 * cpu / count, 4),
    }


def kill(posts: Path, options: list[object], work: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill and resume runs at random points, and compare the final output with that of an uninterrupted run.

    Runs are forked from a process that has imported everything, so that no kill falls into the imports.
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
            break  # it had finished before
        done += 1
    run([*shared, "-o", killed])
    return {"kills": done, "equal": killed.read_bytes() == whole.read_bytes()}


def _extract(arguments: list[str]) -> None:
    """Run `twofold extract` in this process, without output on stderr."""
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
    parser.add_argument("--shard-rows", type=int, default=250, help="rows per shard; default: %(default)s")
    parser.add_argument("--read-only", action="store_true", help="measure reading, without a model")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--no-relations", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file with a list to which measurements are added")
    parser.add_argument("--posts", type=Path, default=EXAMPLES, help="data file, or one text per line")
    parser.add_argument(
        "--pictures",
        nargs="?",
        type=Path,
        const=_OWN,
        metavar="DIR",
        help="use posts with pictures: those of a folder in turn, or without DIR the posts' own",
    )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
