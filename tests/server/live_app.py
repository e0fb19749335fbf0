"""Serves an ASGI application on a free port, in a thread of the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twofold.server.run import _Server, open_socket
from twofold.server.settings import Limits


@contextmanager
def listening(app: Any, limits: Limits | None = None) -> Iterator[str]:
    """The address of an application while the block runs."""
    with served(app, limits) as (address, _):
        yield address


@contextmanager
def served(app: Any, limits: Limits | None = None) -> Iterator[tuple[str, _Server]]:
    """The address of an application and its server, while the block runs."""
    listening_socket = open_socket("127.0.0.1", 0)
    server = _Server(app, limits or Limits())
    thread = threading.Thread(target=server.run, args=([listening_socket],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening_socket.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
