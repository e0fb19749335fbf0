"""The service against extraction from a file: the same posts, one a request, with 1, 8 and 64 at a time.

The service is a process of its own with the same model and threads; clients are in this process and keep
their connections. Bodies are made before. Clients take time of the same processors: beside the time that
passes, the processor time of the service alone is compared with that of the extraction.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from extraction import extract, write_posts
from timing import Ratio, Work, interleave, ratio

import twofold

CONCURRENCY = (1, 8, 64)
_HEAD = "POST /v1/extract HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "


def compare(
    folder: Path | None, work: Path, count: int, rounds: int, threads: int, report: Callable[[str], None]
) -> list[Ratio]:
    """Time requests against the batch interface.

    Args:
        folder: model folder; None for the default.
        work: folder for the posts, of their own.
        count: posts. rounds: rounds. threads: threads of either.
        report: gets a line where something is left out.
    """
    if importlib.util.find_spec("fastapi") is None:
        report("the service left out: the extra serve is not installed")
        return []
    if not Path("/proc/self/stat").exists():
        report("the service left out: its processor time is known on Linux only")
        return []
    model = twofold.load(folder, threads=threads)
    ratios = []
    for pictures in (False, True):
        scenario = "with pictures" if pictures else "text alone"
        posts = write_posts(work / f"served-{pictures}", count, pictures)
        requests = [_request(json.loads(line), posts.parent) for line in posts.open(encoding="utf-8")]
        batch = f"extraction, {scenario}"
        with serving(folder, threads) as (port, process):
            spent: dict[str, list[float]] = {batch: []}
            works = {batch: metered(partial(extract, model, posts), time.process_time, spent[batch])}
            for clients in CONCURRENCY:
                name = f"service, {clients} at a time, {scenario}"
                work_of = partial(send, port, requests, clients)
                works[name] = metered(
                    work_of, partial(processor_seconds, process), spent.setdefault(name, [])
                )
            rest = memory_mib(process, "VmRSS")
            seconds = interleave(works, rounds)
            peak = memory_mib(process, "VmHWM")
        for what, found in (("", seconds), (", processor time", {k: row[1:] for k, row in spent.items()})):
            named = [ratio(found, name, batch, _note(name)) for name in works if name != batch]
            ratios += [row._replace(what=row.what + what, against=row.against + what) for row in named]
        value, note = peak / rest, f"{rest:.0f} MiB, then {peak:.0f} MiB"
        what = f"peak memory of the service, {scenario}"
        ratios.append(Ratio(what, "before the first request", value, value, value, 0.0, note))
    return ratios


def metered(work: Work, clock: Callable[[], float], spent: list[float]) -> Work:
    """The same work, which adds what a clock went on by in each run to a list."""

    def run() -> None:
        begin = clock()
        work()
        spent.append(clock() - begin)

    return run


def processor_seconds(process: int) -> float:
    """Processor seconds of a process so far, in user and system mode, as Linux counts them."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process: int, field: str) -> float:
    """Resident memory of a process as Linux counts it: VmRSS now, VmHWM the highest so far."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


@contextmanager
def serving(folder: Path | None, threads: int) -> Iterator[tuple[int, int]]:
    """The service as a process; gives its port and the number of the process."""
    command = [sys.executable, "-m", "twofold", "serve", "--port", "0", "--threads", str(threads)]
    command += ["--timeout", "600"]  # a busy machine is to be slow, not refused
    command += ["--model", str(folder)] if folder else []
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r":(\d+)$", process.stderr.readline())
        if found is None:
            raise SystemExit(f"the service did not start: {process.stderr.read()}")
        yield int(found[1]), process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:  # where a request failed, others are under way: its error does not wait for them
        process.kill()
        process.wait()


def send(port: int, requests: Sequence[bytes], clients: int) -> None:
    """Send all requests, so many at a time, and read the answers; each must be a result."""
    asyncio.run(_send(port, requests, clients))


async def _send(port: int, requests: Sequence[bytes], clients: int) -> None:
    waiting = iter(requests)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert length is not None
            await reader.readexactly(int(length[1]))
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))


def _request(post: dict[str, object], folder: Path) -> bytes:
    if isinstance(image := post.get("image"), str):
        post["image"] = {"base64": base64.b64encode((folder / image).read_bytes()).decode()}
    body = json.dumps(post).encode()
    return f"{_HEAD}{len(body)}\r\n\r\n".encode() + body


def _note(name: str) -> str:
    return "aim: at most 1.25" if " 64 " in name else ""
