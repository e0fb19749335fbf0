"""Standard streams that are closed, or whose reader exits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_model

PROGRAM = [sys.executable, "-m", "twofold"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def posts(tmp_path):
    lines = (json.dumps({"id": i, "text": "Anna left paris " * 20}) for i in range(300))
    (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(tmp_path / "posts.jsonl")


def shell(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command, "bash", *PROGRAM, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("options", [["--table"], []])
def test_a_reader_that_exits_early_is_no_error(model, posts, options):
    done = shell('"$@" | head -1; exit ${PIPESTATUS[0]}', "extract", posts, "--model", model, *options)
    assert done.returncode in (0, 141)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_reader_of_stderr_that_exits_causes_no_traceback(model, posts):
    done = shell(
        '"$@" 2> >(true) | tail -1 >/dev/null; exit ${PIPESTATUS[0]}',
        "extract", posts, posts + "x", "--model", model,
    )  # fmt: skip
    assert done.returncode in (2, 141)
    assert "Traceback" not in done.stderr


def test_closed_output_is_reported(model):
    done = shell('"$@" >&-', "extract", "--text", "Anna", "--model", model)
    assert done.returncode == 2
    assert done.stderr == "twofold: standard output is closed\n"


def test_closed_output_does_not_matter_if_a_file_is_written(model, tmp_path):
    out = tmp_path / "out.jsonl"
    done = shell('"$@" >&-', "extract", "--text", "Anna", "--model", model, "-o", str(out))
    assert done.returncode == 0
    assert json.loads(out.read_text(encoding="utf-8"))["entities"][0]["type"] == "PER"


def test_a_closed_error_stream_loses_messages_only(model, posts, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(Path(posts).read_text(encoding="utf-8").splitlines()[:30]), encoding="utf-8")
    done = shell('"$@" 2>&-', "extract", str(few), "--model", model)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 30
    assert shell('"$@" 2>&-', "extract", "gone.jsonl").returncode == 2


def test_all_streams_closed(model, tmp_path):
    out = tmp_path / "out.jsonl"
    done = shell('"$@" <&- >&- 2>&-', "extract", "--text", "Anna", "--model", model, "-o", str(out))
    assert done.returncode == 0
    assert out.read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output(model, posts):
    done = shell('"$@" >/dev/full', "extract", posts, "--model", model)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("library", ["numpy", "onnxruntime", "twofold.cli.extract", "twofold.cli.main"])
@pytest.mark.parametrize("swallowed", [False, True])
def test_an_interrupt_while_libraries_load_is_no_traceback(model, library, swallowed):
    # A finder that interrupts when the library is imported; some libraries turn that into an ImportError.
    # Python's handler is set, since interrupts are ignored if a shell starts the tests in the background.
    code = f"""
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {library!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT); time.sleep(5)
            except KeyboardInterrupt:
                if not {swallowed!r} or name == "twofold.cli.main": raise
                raise ImportError("cut off")
sys.meta_path.insert(0, Finder())
from twofold.__main__ import entry
sys.argv[1:] = ["extract", "--text", "Anna", "--model", {model!r}]
entry()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr in ("", "twofold: interrupted\n")


def test_an_interrupt_that_the_shell_ignores_stays_ignored(model, tmp_path):
    child = subprocess.Popen(
        ["bash", "-c", "trap '' INT; exec \"$@\"", "bash", *PROGRAM, "extract", "-", "--model", model],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(b'{"id": 1, "text": "Anna"}\n', timeout=60)
    assert child.returncode == 0
    assert json.loads(out)["id"] == 1
