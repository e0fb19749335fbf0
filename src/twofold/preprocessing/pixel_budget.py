"""A bound on the pixels that are decoded at one time, however many threads and pictures there are.

It does not know pictures.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Threads wait here, in the order they came, until there is room for their picture.

    Args:
        pixels: in all; a picture of more has to be alone.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)  # the threads that held a part are not there

    def _reset(self) -> None:
        self.used = 0
        self._door = threading.Lock()
        self._room = threading.Condition()

    @contextmanager
    def room_for(self, pixels: int) -> Iterator[None]:
        """Hold so many pixels while the block runs."""
        pixels = min(pixels, self.pixels)
        with self._door, self._room:  # one waits at the door, so that small ones cannot starve a large one
            self._room.wait_for(lambda: self.used + pixels <= self.pixels)
            self.used += pixels
        try:
            yield
        finally:
            with self._room:
                self.used -= pixels
                self._room.notify()
