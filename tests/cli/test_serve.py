"""``twofold serve`` as users start and stop it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import tiny_model

from twofold.cli.main import main

pytest.importorskip("fastapi", reason="needs the extra serve")

POST = {"id": 1, "text": "Anna left paris"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@contextmanager
def serving(model, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """The command as a process, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "twofold", "serve", "--model", str(model), "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        line = process.stderr.readline()
        found = re.fullmatch(r"twofold: serving tiny at http://127\.0\.0\.1:(\d+)\n", line)
        assert found, line + process.stderr.read()
        yield process, int(found[1])
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def ask(port: int, post: object = POST, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {"Content-Type": "application/json"} | headers
    connection.request("POST", "/v1/extract", json.dumps(post), named)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_it_answers_and_stops_cleanly_on_a_signal(model):
    with serving(model) as (process, port):
        status, body = ask(port)
        assert (status, json.loads(body)["entities"][0]["text"]) == (200, "Anna")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        with pytest.raises(ConnectionError):
            ask(port)


@pytest.mark.slow
def test_accepted_requests_are_answered_after_a_signal(model):
    answers: list[tuple[int, bytes]] = []
    # Posts wait for others to share a batch, so that all of these are in the queue when the signal arrives.
    with serving(model, "--batch-wait", "1000", "--threads", "1") as (process, port):
        threads = [
            threading.Thread(target=lambda i=i: answers.append(ask(port, POST | {"id": i})))
            for i in range(20)
        ]
        for thread in threads:
            thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            counted = dict(re.findall(r"^(twofold_\w+_posts|twofold_posts_total\{.*?\}) (\S+)$", text, re.M))
            if sum(map(float, counted.values())) >= 20:
                break
        connection.close()
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        assert process.wait(60) == 0
    assert sorted(json.loads(body)["id"] for status, body in answers if status == 200) == list(range(20))


def test_a_key_from_the_environment_or_a_file(model, tmp_path):
    key = "a-key-of-some-length"
    with serving(model, TWOFOLD_API_KEY=key) as (_, port):
        assert ask(port)[0] == 401
        assert ask(port, Authorization=f"Bearer {key}")[0] == 200
    (tmp_path / "keys").write_text(f"\n{key}\nanother-key-of-mine\n")
    with serving(model, "--api-key-file", str(tmp_path / "keys")) as (_, port):
        assert ask(port)[0] == 401
        assert ask(port, **{"X-API-Key": "another-key-of-mine"})[0] == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "there is no API key"),
        (["--host", "::"], "there is no API key"),
        (["--port", "99999"], "--port is 99999"),
        (["--max-queue", "5", "--max-posts", "6"], "at most --max-queue"),
        (["--max-body-mb", "300"], "at most --max-memory-mb"),
        (["--max-posts", "0"], "--max-posts is 0"),
        (["--timeout", "-1"], "--timeout is -1"),
        (["--batch-wait", "2000"], "milliseconds from 0 to 1000"),
        (["--max-error", "1.5"], "--max-error is 1.5"),
        (["--max-error", "0.05"], "the model has no thresholds"),
    ],
)
def test_invalid_options(model, capsys, monkeypatch, options, message):
    monkeypatch.delenv("TWOFOLD_API_KEY", raising=False)
    assert main(["serve", "--model", str(model), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("text", "message"), [("", "no API key"), ("secret\n", "at least 16")])
def test_invalid_key_files(model, tmp_path, capsys, text, message):
    (tmp_path / "keys").write_text(text)
    assert main(["serve", "--model", str(model), "--api-key-file", str(tmp_path / "keys")]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "secret\n" not in shown
    assert "'secret'" not in shown


def test_a_port_that_is_taken(model, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--model", str(model), "--port", str(port)]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_a_missing_extra_is_named(model, capsys, monkeypatch):
    monkeypatch.setattr("twofold.cli.network_options._PACKAGES", ("fastapi", "no_such_package"))
    assert main(["serve", "--model", str(model)]) == 2
    assert "no_such_package is not installed; expected the extra serve" in capsys.readouterr().err
