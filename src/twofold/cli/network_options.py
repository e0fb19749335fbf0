"""Options of commands that listen: address, names of the host, API keys."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
from pathlib import Path

from twofold.errors import ConfigError, MissingExtraError

KEY = "TWOFOLD_API_KEY"
"""Environment variable of an API key."""
_PACKAGES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def add_network_options(group: argparse._ArgumentGroup, port: int) -> None:
    """Where to listen, and for whom.

    Args:
        group: takes the options. port: by default.
    """
    group.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)"
    )
    group.add_argument(
        "--port", type=int, default=port, metavar="N", help=f"port; 0 for any that is free (default: {port})"
    )
    group.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="accept only requests with a key of this file"
    )
    group.add_argument(
        "--no-api-key", action="store_true", help="listen beyond this machine without an API key"
    )
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name by which the service is reached; may be repeated (default: those of this machine, or "
        "any with --host)",
    )


def check_extra() -> None:
    """Refuse at once where a package of the extra is missing.

    Raises:
        MissingExtraError: one is.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            expected="the extra serve",
            do="pip install 'twofold[serve]'",
        )


def access(args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that the Host header may have (none for any), and API keys.

    Raises:
        ConfigError: other machines reach the address, and no key keeps them out.
    """
    from twofold.server.run import is_loopback

    keys = _keys(args.api_key_file)
    local = is_loopback(args.host)
    if not (local or keys or args.no_api_key):
        raise ConfigError(
            f"--host {args.host} can be reached from other machines, and there is no API key",
            expected=f"--api-key-file FILE, or the environment variable {KEY}",
            do="give one, or say --no-api-key where something in front of the service checks requests",
        )
    return (*_LOCAL, args.host, *args.allow_host) if local or args.allow_host else (), keys


def address_of(listening: socket.socket) -> str:
    """The address of a socket for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _keys(file: Path | None) -> tuple[str, ...]:
    given = [os.environ.get(KEY, "")]
    if file is not None:
        given = file.read_text(encoding="utf-8").splitlines()
    keys = tuple(key.strip() for key in given if key.strip())
    if file is not None and not keys:
        raise ConfigError("the file has no API key", where=str(file), expected="one key a line")
    if short := [key for key in keys if len(key) < 16 or not key.isascii()]:
        raise ConfigError(
            f"an API key has {len(short[0])} characters",
            where=str(file) if file else KEY,
            expected="at least 16, of ASCII",
            do="make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return keys
