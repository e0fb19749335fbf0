"""Handles standard output and error that are closed, or pipes whose reader has exited.

Nothing but the standard library is imported, so that a command starts quickly.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def prepare_streams() -> None:
    """Replace closed standard streams.

    Writing to a closed standard output is an error; messages to a closed standard error are lost. The three
    descriptors are occupied, so that no file opened later gets one of their numbers.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(_Closed(), encoding="utf-8", write_through=True)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def discard_output() -> None:
    """Discard buffered output, since Python would report it at exit and change the exit code."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a closed stream has no descriptor
            os.dup2(devnull, stream.fileno())
    os.close(devnull)
    if isinstance(sys.stdout.buffer, _Closed):
        sys.stdout = sys.stderr


def say(message: str) -> None:
    """Print a message on standard error; if that is closed, the message is lost."""
    with suppress(OSError, ValueError):
        print(f"twofold: {message}", file=sys.stderr, flush=True)


def console(**options: Any) -> Console:
    """A rich console that leaves a broken pipe to the command line, instead of exiting with code 1."""
    from rich.console import Console

    class PipeConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return PipeConsole(**options)


class _Closed(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(errno.EBADF, "standard output is closed")
