"""A limit on the pixels decoded at one time, for any number of threads and pictures.

It does not know pictures.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """A semaphore over pixels: threads wait, one at a time, until their picture fits.

    Args:
        pixels: in total; a larger picture is decoded alone.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                after_in_child=self._reset
            )  # a child has none of the threads that held pixels

    def _reset(self) -> None:
        self.used = 0
        self._queue = threading.Lock()
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Reserve this many pixels while the block runs."""
        pixels = min(pixels, self.pixels)
        with (
            self._queue,
            self._freed,
        ):  # one thread at a time waits for space, so that small pictures cannot starve a large one
            self._freed.wait_for(lambda: self.used + pixels <= self.pixels)
            self.used += pixels
        try:
            yield
        finally:
            with self._freed:
                self.used -= pixels
                self._freed.notify()
