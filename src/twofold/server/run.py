"""Runs the service: the socket, signals, and hanging connections."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import h11
import uvicorn
from starlette.applications import Starlette

from twofold.errors import ConfigError
from twofold.server.settings import Limits

_LOG = logging.getLogger("twofold.server")
_KEEP_ALIVE = 5
_SWEEP = 2


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: host or port cannot be used.
    """
    if not 0 <= port < 1 << 16:  # the system would silently use another
        raise ConfigError(f"--port is {port}", expected="a number from 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}",
            expected="an address of this machine and a free port",
            do="choose others with --host and --port",
        ) from error


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be reached from this machine only."""
    import ipaddress

    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return all(ipaddress.ip_address(str(address[0])).is_loopback for *_, address in found)
    except (OSError, ValueError, UnicodeError):
        return False


def serve(app: Starlette, listening: socket.socket, limits: Limits) -> None:
    """Answer requests until SIGTERM or SIGINT comes; finish those already taken, then return.

    Args:
        app: with a service as ``app.state.service``, whose ``ending`` is set when a signal comes.
        listening: a listening socket.
        limits: of the service.
    """
    server = _Server(app, limits)
    with _quiet_end(server):
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that closes hanging connections, and sets ``ending`` of the service on a signal."""

    def __init__(self, app: Starlette, limits: Limits) -> None:
        self._service = app.state.service
        self._hanging = _Hanging(limits.head_seconds)

        async def sweep() -> None:
            self._hanging.close(self.server_state.connections)

        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=int(limits.seconds + limits.body_seconds) + 1,
                callback_notify=sweep,
                timeout_notify=_SWEEP,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down after a signal."""
        self._service.ending = True
        super().handle_exit(sig, frame)


class _Hanging:
    """Closes connections that wait too long for the client; uvicorn has no limit on these.

    They are: a head of a request that does not end, a body that goes on after its answer, and an answer that
    the client does not read.

    Args:
        seconds: that a connection may hang.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: WeakKeyDictionary[Any, tuple[object, float]] = WeakKeyDictionary()

    def close(self, connections: Any) -> None:
        """Close the connections that have hung for too long."""
        now = time.monotonic()
        for connection in list(connections):
            state = _hanging_state(connection)
            before, since = self._since.get(connection, (None, now))
            if state is None or state != before:
                self._since[connection] = (state, now)
            elif now - since > self._seconds:
                connection.transport.abort()


def _hanging_state(connection: Any) -> object:
    """A value that stays the same while the connection hangs; None if it does not hang."""
    transport, protocol = connection.transport, connection.conn
    if waiting := transport.get_write_buffer_size():
        return "writing", waiting
    if protocol.their_state is h11.IDLE:
        return "head", id(connection.cycle)
    if protocol.their_state is h11.SEND_BODY and protocol.our_state is h11.DONE:
        return "body", id(connection.cycle)
    return None


@contextmanager
def _quiet_end(server: _Server) -> Iterator[None]:
    """Exit with code 0 on SIGTERM and Ctrl-C, although uvicorn raises the signal again when it ends.

    A signal that comes before uvicorn handles signals is not lost.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    before = {name: signal.signal(name, server.handle_exit) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
