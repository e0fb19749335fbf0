"""Options of the commands that run a server: address, host names, API keys."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
from pathlib import Path

from twofold.errors import ConfigError, MissingExtraError

KEY = "TWOFOLD_API_KEY"
"""Environment variable with an API key."""
_PACKAGES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def add_network_options(group: argparse._ArgumentGroup, port: int) -> None:
    """Add the options for the address of a server, and for access to it.

    Args:
        group: where to add the options. port: default port.
    """
    group.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)"
    )
    group.add_argument(
        "--port", type=int, default=port, metavar="N", help=f"port; 0 for any free port (default: {port})"
    )
    group.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help="accept only requests with a key from this file, one per line",
    )
    group.add_argument(
        "--no-api-key", action="store_true", help="accept requests from other machines without an API key"
    )
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which clients reach the service; may be repeated (default: the names of this "
        "machine; any name if --host is not local)",
    )


def check_extra() -> None:
    """Check that the packages of the extra are installed.

    Raises:
        MissingExtraError: one is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            expected="the extra serve",
            do="pip install 'twofold[serve]'",
        )


def access(args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Host names allowed in the Host header (empty for any), and API keys.

    Raises:
        ConfigError: other machines can reach the address, and there is no API key.
    """
    from twofold.server.run import is_loopback

    keys = _keys(args.api_key_file)
    local = is_loopback(args.host)
    if not (local or keys or args.no_api_key):
        raise ConfigError(
            f"--host {args.host} can be reached from other machines, and there is no API key",
            expected=f"--api-key-file FILE, or the environment variable {KEY}",
            do="give one, or use --no-api-key if a proxy in front of the service checks requests",
        )
    return (*_LOCAL, args.host, *args.allow_host) if local or args.allow_host else (), keys


def address_of(listening: socket.socket) -> str:
    """The URL of a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _keys(file: Path | None) -> tuple[str, ...]:
    given = [os.environ.get(KEY, "")]
    if file is not None:
        given = file.read_text(encoding="utf-8").splitlines()
    keys = tuple(key.strip() for key in given if key.strip())
    if file is not None and not keys:
        raise ConfigError("the file has no API key", where=str(file), expected="one key per line")
    if short := [key for key in keys if len(key) < 16 or not key.isascii()]:
        raise ConfigError(
            f"an API key has {len(short[0])} characters",
            where=str(file) if file else KEY,
            expected="at least 16 ASCII characters",
            do="make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return keys
