"""A service on a free port, in a thread of the test, and requests to it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from server.live_app import served

from twofold.server.app import Service, create_app
from twofold.server.settings import Settings
from twofold.server.variants import Options


@dataclass
class Answer:
    """An answer: status, headers with names in lower case, and the body."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def code(self) -> str:
        """The code of an error."""
        return self.json["error"]["code"]


@dataclass
class Live:
    """A running service.

    Attributes:
        port: on 127.0.0.1.
        app: its application.
        connections: open connections.
    """

    port: int
    app: FastAPI
    connections: Collection[object]

    @property
    def service(self) -> Service:
        return self.app.state.service

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, value: object, query: str = "", **headers: str) -> Answer:
        """Post a value as JSON to the extraction, bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.ask("POST", f"/v1/extract{query}", body, sent)

    def wait_until(self, condition: Any, seconds: float = 20) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition never held"
            time.sleep(0.01)


@contextmanager
def live(extractor: Any, settings: Settings | None = None, options: Options | None = None) -> Iterator[Live]:
    """A service while the block runs."""
    settings = settings or Settings()
    app = create_app(extractor, settings, options)
    with served(app, settings.limits) as (origin, server):
        yield Live(int(origin.rpartition(":")[2]), app, server.server_state.connections)
