"""Standard output and error as they come: pipes whose reader has left, and streams that are closed.

It knows no commands. All of it uses the standard library only, so that a command starts quickly.
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
    """Put something in the place of closed standard streams.

    Writing to a closed standard output is an error; messages to a closed standard error are lost. The three
    descriptors are taken, so that no file that is opened later gets the number of one of them.
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
    """Send what is still buffered nowhere: else Python complains of it at exit, and changes the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # one that was closed has no descriptor
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if isinstance(sys.stdout.buffer, _Closed):
        sys.stdout = sys.stderr


def say(message: str) -> None:
    """Print a message on standard error, if anybody reads there."""
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
