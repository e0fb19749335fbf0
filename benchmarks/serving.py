"""Time the service against extraction from a file: the same posts, one per request, 1, 8 and 64 at a time.

The service is a separate process with the same model and threads; clients are in this process and keep
their connections. Request bodies are prepared beforehand. Clients use the same cores: in addition to the
elapsed time, the CPU time of the service alone is compared with that of the extraction.
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
        work: folder for the posts.
        count: number of posts. rounds: number of rounds. threads: threads of each side.
        report: called with a line if something is left out.
    """
    if importlib.util.find_spec("fastapi") is None:
        report("the service left out: the extra serve is not installed")
        return []
    if not Path("/proc/self/stat").exists():
        report("the service left out: its CPU time can be measured on Linux only")
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
    """Wrap the work so that each run appends its time, measured with ``clock``, to ``spent``."""

    def run() -> None:
        begin = clock()
        work()
        spent.append(clock() - begin)

    return run


def processor_seconds(process: int) -> float:
    """CPU seconds of a process so far, in user and system mode, as counted by Linux."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process: int, field: str) -> float:
    """Resident memory of a process as counted by Linux: VmRSS is the current, VmHWM the peak value."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


@contextmanager
def serving(folder: Path | None, threads: int) -> Iterator[tuple[int, int]]:
    """Run the service as a process; yields its port and process id."""
    command = [sys.executable, "-m", "twofold", "serve", "--port", "0", "--threads", str(threads)]
    command += ["--timeout", "600"]  # on a busy machine requests are slow, but not refused
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
    finally:  # if a request failed, do not wait for the others
        process.kill()
        process.wait()


def send(port: int, requests: Sequence[bytes], clients: int) -> None:
    """Send all requests from ``clients`` concurrent clients, and check that each response is a result."""
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
