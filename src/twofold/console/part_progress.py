"""Progress of a run in shards, by bytes of its input: on stderr, as a bar or as occasional plain lines.

The time left is shown from the second part on. It is estimated only from the parts of this run, since parts
of an earlier run would make it look too fast.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from typing import Protocol

from twofold.console.progress import EVERY_S, duration, posts_per_second, rich_bar
from twofold.console.text import counted, printable


class PartProgress(AbstractContextManager["PartProgress"], Protocol):
    """The progress display of a run in shards."""

    def log(self, message: str) -> None:
        """Print a message that stays on the screen."""

    def advance(self, posts: int, rejected: int, position: int) -> None:
        """Count a part: its posts and rejected records, and the bytes of input read up to its end."""


def watch_parts(total: int) -> PartProgress:
    """A progress display over ``total`` bytes of input; 0 if unknown."""
    return _Bar(total) if sys.stderr.isatty() else _Lines(total)


class _Estimate:
    """Counts parts, and estimates progress and time left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._posts = self._rejected = self._position = 0
        self._first: tuple[float, int, int] | None = None

    def add(self, posts: int, rejected: int, position: int) -> None:
        self._posts, self._rejected = self._posts + posts, self._rejected + rejected
        self._position = max(position, self._position)
        if self._first is None:
            self._first = (time.monotonic(), self._posts, self._position)

    @property
    def fraction(self) -> float | None:
        """Fraction of the input that is done; None if unknown."""
        return min(1.0, self._position / self._total) if self._total else None

    @property
    def left(self) -> float | None:
        """Seconds left; None before they can be estimated."""
        if self._first is None or not self._total:
            return None
        elapsed, read = time.monotonic() - self._first[0], self._position - self._first[2]
        if elapsed < 1 or read <= 0:
            return None
        return elapsed * max(0, self._total - self._position) / read

    def counts(self) -> str:
        begin, before, _ = self._first or (time.monotonic(), 0, 0)
        rate = posts_per_second(self._posts - before, time.monotonic() - begin)
        rejected = f", {self._rejected:,} rejected" if self._rejected else ""
        return f"{counted(self._posts, 'post')}{rate}{rejected}"


class _Lines(PartProgress):
    def __init__(self, total: int) -> None:
        self._estimate = _Estimate(total)
        self._last = time.monotonic()

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, message: str) -> None:
        print(f"twofold: {printable(message)}", file=sys.stderr)

    def advance(self, posts: int, rejected: int, position: int) -> None:
        self._estimate.add(posts, rejected, position)
        now = time.monotonic()
        if now - self._last < EVERY_S:
            return
        self._last = now
        fraction, left = self._estimate.fraction, self._estimate.left
        done = "" if fraction is None else f", {100 * fraction:.0f} %"
        self.log(self._estimate.counts() + done + ("" if left is None else f", about {duration(left)} left"))


class _Bar(PartProgress):
    def __init__(self, total: int) -> None:
        self._estimate = _Estimate(total)
        self._bar = rich_bar(time_left=False)
        self._task = self._bar.add_task("", total=1.0 if total else None, posts="0 posts", rate="")

    def __enter__(self) -> PartProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def log(self, message: str) -> None:
        self._bar.console.print(
            f"twofold: {printable(message)}", markup=False, highlight=False, soft_wrap=True
        )

    def advance(self, posts: int, rejected: int, position: int) -> None:
        self._estimate.add(posts, rejected, position)
        left = self._estimate.left
        remaining = "" if left is None else f"{duration(left)} left"
        self._bar.update(
            self._task,
            completed=self._estimate.fraction or 0.0,
            posts=self._estimate.counts(),
            rate=remaining,
        )
