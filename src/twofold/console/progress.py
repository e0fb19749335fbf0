"""Progress on stderr: a bar on a terminal, occasional plain lines elsewhere.

Progress is measured by the input line of the latest post. This module does not know what is done with the
posts.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from twofold.console.streams import console
from twofold.console.text import counted, printable
from twofold.posts import Post
from twofold.reading import open_file

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

EVERY_S = 15.0
"""Seconds between plain lines."""
_NO_LINES = (".gz", ".zst", ".parquet", ".tar")
"""Suffixes of files in which line feeds do not separate posts."""
LEAST_POSTS = 10
"""Smallest number of posts after the first for which the time left is estimated."""


class Progress(Protocol):
    """The progress display of a command."""

    def log(self, message: str) -> None:
        """Print a message that stays on the screen."""

    def step(self, post: Post) -> None:
        """Count one post as done."""


def watch(source: Path | None, bar: bool) -> AbstractContextManager[Progress]:
    """A progress display over a file.

    Args:
        source: the input; None if its length is unknown.
        bar: whether to draw a bar; it is drawn only if stderr is a terminal.
    """
    total = count_lines(source) if source is not None and source.suffix.lower() not in _NO_LINES else None
    return _Bar(total) if bar and sys.stderr.isatty() else _Lines(total)


def count_lines(path: Path) -> int:
    """Number of lines of a file, by its line feeds; at least 1."""
    count, last = 0, b""
    with open_file(path) as stream:
        while block := stream.read(1 << 20):
            count, last = count + block.count(b"\n"), block
    return max(1, count + (not last.endswith(b"\n")))


def _line_of(post: Post) -> int:
    number = post.origin.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


class _Lines(AbstractContextManager[Progress]):
    def __init__(self, total: int | None) -> None:
        self._total = total
        self._count = 0
        self._last = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first post was done, and its line

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, message: str) -> None:
        print(f"twofold: {printable(message)}", file=sys.stderr)

    def step(self, post: Post) -> None:
        self._count += 1
        now, line = time.monotonic(), _line_of(post)
        self._first = self._first or (now, line)
        if now - self._last >= EVERY_S:
            self._last = now
            self.log(self._status(line, now - self._first[0], line - self._first[1]))

    def _status(self, line: int, elapsed: float, lines: int) -> str:
        """Speed and time left, measured from the first post on: loading the model happens only once."""
        status = f"{counted(self._count, 'post')}{posts_per_second(self._count - 1, elapsed)}"
        if self._total is None or not line:
            return status
        status = f"{status}, {100 * line / self._total:.0f} %"
        if lines < 1 or elapsed < 1 or self._count <= LEAST_POSTS:
            return status
        return f"{status}, about {duration(elapsed * (self._total - line) / lines)} left"


def posts_per_second(count: int, elapsed: float) -> str:
    """The speed; empty in the first second, and before a second post is done."""
    if elapsed < 1 or not count:
        return ""
    rate = count / elapsed
    return f", {rate:.1f} posts/s" if rate >= 0.1 else f", {duration(1 / rate)} per post"


def duration(seconds: float) -> str:
    """A duration in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Bar(AbstractContextManager[Progress]):
    def __init__(self, total: int | None) -> None:
        self._bar = rich_bar()
        self._task = self._bar.add_task("", total=total, posts=counted(0, "post"), rate="")
        self._count = 0
        self._first: float | None = None

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def log(self, message: str) -> None:
        self._bar.console.print(
            f"twofold: {printable(message)}", markup=False, highlight=False, soft_wrap=True
        )

    def step(self, post: Post) -> None:
        self._count += 1
        now = time.monotonic()
        self._first = self._first or now
        rate = posts_per_second(self._count - 1, now - self._first).lstrip(", ")
        self._bar.update(self._task, completed=_line_of(post), posts=counted(self._count, "post"), rate=rate)


def rich_bar(time_left: bool = True) -> RichProgress:
    """A bar with a count and a rate, and optionally the time left as estimated by rich."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[posts]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        *([TimeRemainingColumn(), TextColumn("left")] if time_left else []),
    )
    return Progress(*columns, console=console(stderr=True), transient=True, speed_estimate_period=120)
