"""The image of the service without a container engine: reads the Dockerfile, runs its steps in a folder.

Not tested, since it needs an engine: that the layers fit together, and the base image.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from server.test_app import in_base64, picture

from twofold.cli.main import build_parser

ROOT = Path(__file__).parents[2]
KEY = "a-key-of-some-length"


class Step(NamedTuple):
    """An instruction of the Dockerfile."""

    name: str
    rest: str


def steps() -> list[Step]:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [Step(*line.split(maxsplit=1)) for line in lines if line.strip() and not line.startswith("#")]


def last(name: str) -> str:
    return [step.rest for step in steps() if step.name == name][-1]


def copied() -> list[str]:
    """Files and folders that are copied from the repository."""
    rests = [step.rest for step in steps() if step.name == "COPY" and not step.rest.startswith("--from")]
    return [source for rest in rests for source in rest.split()[:-1]]


def test_it_runs_as_an_unprivileged_user_and_stops_at_sigterm():
    user, group = last("USER").split(":")
    assert min(int(user), int(group)) >= 10_000
    names = [step.name for step in steps()]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name in ("FROM", "COPY", "RUN"))
    assert last("STOPSIGNAL") == "SIGTERM"
    assert not [step for step in steps() if re.search(r"key|token|password", step.rest, re.I)]


def test_copied_files_exist_and_are_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied())
    for source in copied():
        assert (ROOT / source).exists(), source


def test_the_command_is_serve_and_needs_a_key():
    command, *arguments = json.loads(last("ENTRYPOINT"))
    assert command == "twofold"
    args = build_parser(arguments).parse_args(arguments)
    assert (args.command, args.host, args.port) == ("serve", "0.0.0.0", int(last("EXPOSE")))
    assert not args.no_api_key


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_steps_build_a_service_that_runs_on_a_read_only_file_system(tmp_path):
    if not os.environ.get("TWOFOLD_TEST_IMAGE"):
        pytest.skip("it installs its own environment, which takes minutes: set TWOFOLD_TEST_IMAGE=1")
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("a read-only file system needs root and unshare")
    build, place = tmp_path / "build", tmp_path / "twofold"
    for source in copied():
        target = build / source
        target.parent.mkdir(parents=True, exist_ok=True)
        ignore = shutil.ignore_patterns("__pycache__")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=ignore)
        else:
            shutil.copy(ROOT / source, target)
    for step in steps():
        if step.name == "RUN":
            line = step.rest.replace("/opt/twofold", str(place))
            line = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", line)
            done = subprocess.run(line, shell=True, cwd=build, capture_output=True, text=True)
            assert done.returncode == 0, line + done.stdout + done.stderr
    serve_and_ask(place)


def serve_and_ask(place: Path) -> None:
    """Run the image's command with all files read-only, ask it, run its health check, and end it."""
    command = [str(place / "bin" / "python"), "-I", "-m", *json.loads(last("ENTRYPOINT")), "--port", "0"]
    read_only = "mount -o remount,ro,bind / && ! touch /tmp/x 2>/dev/null && exec " + shlex.join(command)
    environment = {"PATH": os.environ["PATH"], "TWOFOLD_API_KEY": KEY, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", read_only],
        cwd="/",
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        found = re.fullmatch(r"twofold: serving default at http://0\.0\.0\.0:(\d+)\n", line)
        if not found and "mount" in line:
            pytest.skip(f"no read-only file system here: {line}")
        if not found:
            process.kill()  # otherwise reading its output would not end
            pytest.fail(line + process.stderr.read())
        _, _, check = last("HEALTHCHECK").partition("CMD ")
        health = [part.replace(":8000", f":{found[1]}") for part in json.loads(check)]
        assert subprocess.run([sys.executable, *health[1:]]).returncode == 0
        post = {"id": 1, "text": "Nora Berg in Berlin", "image": in_base64(picture(size=(1500, 1500)))}
        program = (
            "import sys; from urllib.request import Request, urlopen;"
            f"print(urlopen(Request('http://127.0.0.1:{found[1]}/v1/extract', sys.stdin.buffer.read(),"
            f"{{'Content-Type': 'application/json', 'X-API-Key': {KEY!r}}})).read().decode())"
        )
        asked = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(post).encode(), capture_output=True, check=True
        )
        assert [entity["text"] for entity in json.loads(asked.stdout)["entities"]] == ["Nora Berg", "Berlin"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
