"""Progress of a training on stderr."""

from __future__ import annotations

import sys
import time

from twofold.console.streams import console
from twofold.console.text import printable


class TrainingProgress:
    """Prints each message: a line that is overwritten on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = console(stderr=True, highlight=False)
        self.last = 0.0

    def __call__(self, line: str) -> None:
        """Print one message; transient ones are overwritten, or printed twice a minute."""
        line = printable(line)
        transient = " step " in line or line.startswith(("pictures encoded", "texts encoded"))
        if not transient:
            self.console.print(line, markup=False, soft_wrap=True)
        elif sys.stderr.isatty():
            self.console.print(line, markup=False, end="\r")
        elif time.monotonic() - self.last > 30:
            self.last = time.monotonic()
            self.console.print(line, markup=False, soft_wrap=True)
