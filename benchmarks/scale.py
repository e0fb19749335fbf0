"""Many posts by the command itself: time and peak memory by rows, workers and engines, and random kills.

    python benchmarks/scale.py --rows 1000 10000 --workers 1 2
    python benchmarks/scale.py --rows 10000 --workers 1 --engines local ray
    python benchmarks/scale.py --rows 1000 10000 --workers 1 --posts FILE --pictures
    python benchmarks/scale.py --rows 100000 --read-only
    python benchmarks/scale.py --rows 1000 --kills 200 --model DIR

Posts are those of a data file, or the lines of a text file, again and again with a number behind, so that no
text comes twice; pictures get the number, too, behind the end of their file. Prints one line of JSON for each
measurement; with ``--out`` it goes to the list in that file, too. Killed runs are compared with an
undisturbed one byte for byte. The engine ray runs on a cluster of this machine that is started before; of it,
memory and processor time are those of the command alone.

``cpu_ms_per_post`` and ``posts_per_second`` leave the start out: they are of the posts beyond those of a
short run, 20 for each worker, which comes first for each number of workers and each engine. ``--read-only``
measures what the first process alone does, whatever the number of workers: to read posts and cut them into
shards with their hashes, and to do that and pack the shards for another process.
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
"""Rows for each worker of the short run, whose cost is that of the start: all graphs are opened."""
_ROUNDS = 3
"""Of reading alone."""
_OWN = Path("own")
"""Stands for the posts' own pictures in the place of a folder."""


def main(arguments: list[str]) -> None:
    """Measure and print."""
    args = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, _cluster(args.engines, max(args.workers, default=1)):
        work = Path(folder)
        options = ["--model", args.model, "--device", args.device]
        options += ["--no-relations"] if args.no_relations else []
        ways = {
            (workers, engine): [*options, "--workers", workers, "--engine", engine]
            for workers, engine in product(args.workers, args.engines)
        }
        short = {way: _measured(args, _few(way[0]), work, more, _SHORT_ROWS) for way, more in ways.items()}
        for rows, ((workers, engine), more) in product(args.rows, ways.items()):
            used = _measured(args, rows, work, more, args.shard_rows)
            found = {"rows": rows, "workers": workers, "engine": engine} | used
            if rows > _few(workers):
                found |= _without_start(rows - _few(workers), used, short[workers, engine], engine)
            report(found, arguments, args.out)
        for rows, packed in product(args.rows if args.read_only else [], (False, True)):
            posts = write_posts(args.posts, rows, work, args.pictures)
            read = read_alone(posts, packed, args.shard_rows)
            report({"rows": rows, "reads": True, "packed": packed} | read, arguments, args.out)
        if args.kills:
            posts = write_posts(args.posts, args.rows[-1], work, args.pictures)
            report(kill(posts, options, work, args.kills, args.seed), arguments, args.out)


def _few(workers: int) -> int:
    """Rows of the short run."""
    return _SHORT_ROWS * workers


def _measured(
    args: argparse.Namespace, rows: int, work: Path, options: list[object], shard_rows: int
) -> dict[str, float]:
    """What a run over so many posts used."""
    posts = write_posts(args.posts, rows, work, args.pictures)
    with tempfile.TemporaryDirectory(dir=work) as out:
        return run([posts, *options, "--shard-rows", shard_rows, "-o", f"{out}/found/"])


def _without_start(
    rows: int, used: dict[str, float], short: dict[str, float], engine: str
) -> dict[str, float]:
    """Cost of the posts beyond those of the short run; the processor time of a cluster is not known."""
    found = {"posts_per_second": round(rows / max(used["seconds"] - short["seconds"], 0.01), 1)}
    if engine == "local":
        milliseconds = 1000 * (used["cpu_seconds"] - short["cpu_seconds"]) / rows
        found["cpu_ms_per_post"] = round(milliseconds, 2)
    return found


def report(found: dict[str, object], arguments: list[str], out: Path | None) -> None:
    """Print a measurement, and add it with its command to the list in a file; of places the names alone."""
    print(json.dumps(found), flush=True)
    if out is not None:
        said = " ".join(
            ["benchmarks/scale.py", *(x if x.startswith("-") else Path(x).name for x in arguments)]
        )
        before = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else []
        lines = [json.dumps(item) for item in [*before, {"command": said} | found]]
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


def write_posts(source: Path, rows: int, work: Path, pictures: Path | None = None) -> Path:
    """A file with as many posts as are wanted; those that are there from another run are left.

    Args:
        source: posts, or texts.
        rows: their number.
        work: folder of the new files.
        pictures: folder of the pictures, which posts get in turn; `_OWN` for those of the posts themselves,
            None for none.
    """
    path = work / f"{rows}.jsonl"
    if path.is_file():
        return path
    (work / "pictures").mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for number, (text, picture) in enumerate(islice(_again_and_again(source, pictures), rows)):
            record: dict[str, object] = {"id": number, "text": f"{text} {number}"}
            if picture is not None:
                record["image"] = f"pictures/{number}{picture.suffix}"
                _write_picture(picture, number, work / f"pictures/{number}{picture.suffix}")
            stream.write(json.dumps(record) + "\n")
    return path


def _write_picture(picture: Path, number: int, path: Path) -> None:
    """A copy that is no other picture's: the number stands behind the end of the file, where nobody reads."""
    if not path.is_file():
        path.write_bytes(picture.read_bytes() + number.to_bytes(4, "little"))


def _again_and_again(source: Path, pictures: Path | None) -> Iterator[tuple[str, Path | None]]:
    """Texts of posts with a picture each, without end; nothing is held, for memory is what is measured."""
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
    except DataError:  # of no known format: a text in each line
        with source.open(encoding="utf-8") as stream:
            yield from (Post(0, line.strip()) for line in stream)
    else:
        yield from (post for post in posts if isinstance(post, Post))


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


def read_alone(posts: Path, packed: bool, shard_rows: int) -> dict[str, float]:
    """What reading posts and cutting them into shards uses, and perhaps packing these for another process.

    The least of some rounds: other work on the machine only adds to it.
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
    parser.add_argument("--shard-rows", type=int, default=250, help="rows of a shard; default: %(default)s")
    parser.add_argument("--read-only", action="store_true", help="measure reading, without a model")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--no-relations", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file with a list, to which measurements are added")
    parser.add_argument("--posts", type=Path, default=EXAMPLES, help="data file, or a text in each line")
    parser.add_argument(
        "--pictures",
        nargs="?",
        type=Path,
        const=_OWN,
        metavar="DIR",
        help="give posts pictures: those of a folder in turn, or without one their own",
    )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
