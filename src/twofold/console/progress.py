"""Progress on stderr: a bar where a person watches, a plain line now and then otherwise.

Progress is the line of the input that the latest post came from. It does not know what
is done with the posts.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from twofold.console.streams import console
from twofold.console.text import printable
from twofold.posts import Post

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

EVERY_S = 15.0
"""Seconds between plain lines."""


class Progress(Protocol):
    """What a command needs."""

    def log(self, message: str) -> None:
        """Say something that stays on the screen."""

    def step(self, post: Post) -> None:
        """Count one post as done."""


def watch(source: Path | None, bar: bool) -> AbstractContextManager[Progress]:
    """Progress over a file.

    Args:
        source: the input; None where its length cannot be known.
        bar: whether a bar is wanted; drawn only where stderr is a terminal.
    """
    total = count_lines(source) if source is not None else None
    return _Bar(total) if bar and sys.stderr.isatty() else _Lines(total)


def count_lines(path: Path) -> int:
    """Lines of a file, by its line feeds; 1 at least."""
    count, last = 0, b""
    with path.open("rb") as stream:
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
        self._begin = self._last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, message: str) -> None:
        print(f"twofold: {printable(message)}", file=sys.stderr)

    def step(self, post: Post) -> None:
        self._count += 1
        now = time.monotonic()
        if now - self._last >= EVERY_S:
            self._last = now
            self.log(self._status(_line_of(post), now - self._begin))

    def _status(self, line: int, elapsed: float) -> str:
        status = f"{_posts(self._count)}{_rate(self._count, elapsed)}"
        if self._total is None or not line:
            return status
        left = elapsed * (self._total - line) / line
        return f"{status}, {100 * line / self._total:.0f} %, about {_duration(left)} left"


def _posts(count: int) -> str:
    return f"{count:,} {'post' if count == 1 else 'posts'}"


def _rate(count: int, elapsed: float) -> str:
    """The speed, once it can be known: after a second, and a post."""
    if elapsed < 1 or not count:
        return ""
    rate = count / elapsed
    return f", {rate:.1f} posts/s" if rate >= 0.1 else f", {_duration(1 / rate)} per post"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Bar(AbstractContextManager[Progress]):
    def __init__(self, total: int | None) -> None:
        self._bar = _rich_bar()
        self._task = self._bar.add_task("", total=total, posts=_posts(0), rate="")
        self._count = 0
        self._begin = time.monotonic()

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
        rate = _rate(self._count, time.monotonic() - self._begin).lstrip(", ")
        self._bar.update(self._task, completed=_line_of(post), posts=_posts(self._count), rate=rate)


def _rich_bar() -> RichProgress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[posts]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return Progress(*columns, console=console(stderr=True), transient=True, speed_estimate_period=120)
