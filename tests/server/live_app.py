"""An ASGI application that listens on a free port, in a thread of the test."""

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
    """The same, and its server."""
    place = open_socket("127.0.0.1", 0)
    server = _Server(app, limits or Limits())
    thread = threading.Thread(target=server.run, args=([place],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{place.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
