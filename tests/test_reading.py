"""Opening files for reading: endless files are refused without blocking, wherever a path is accepted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from twofold.errors import PictureError, TwofoldError
from twofold.preprocessing.picture_files import file_bytes
from twofold.reading import open_file, read_bytes, read_text

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pipes in folders on Windows")
SYSTEM_FILES = [
    path for path in map(Path, ("/proc/kmsg", "/proc/version", "/dev/zero")) if os.access(path, os.R_OK)
]


@pytest.fixture
def pipe(tmp_path):
    """A pipe without a writer: opening it blocks forever."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes("ü\r\n".encode())
    assert read_bytes(tmp_path / "a") == "ü\r\n".encode()
    assert read_text(tmp_path / "a") == "ü\n"
    (tmp_path / "a").write_bytes(b"")
    assert read_bytes(tmp_path / "a") == read_bytes(Path(os.devnull)) == b""


@pytest.mark.parametrize("path", SYSTEM_FILES)
def test_a_system_file_is_refused(path):
    with pytest.raises(OSError, match="whose content has no end"):
        open_file(path)
    with pytest.raises(PictureError, match="whose content has no end"):
        file_bytes(path)


def test_pipes_sockets_and_folders_are_refused_at_once(tmp_path, pipe):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    for path in (pipe, tmp_path / "socket"):
        with pytest.raises(OSError, match="it is a pipe, a device"):
            open_file(path)
    listening.close()
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")


COMMANDS = [
    ["extract", "FILE", "{}"],
    ["data", "check", "{}"],
    ["data", "check", "a.jsonl", "--alt-text-file", "{}"],
    ["data", "convert", "{}", "out.jsonl", "--to", "jsonl"],
    ["evaluate", "default", "{}"],
    ["evaluate", "default", "a.jsonl", "--trust", "--other-domain", "{}"],
    ["calibrate", "default", "{}", "-o", "model"],
    ["export", "{}", "out", "--to", "brat"],
    ["export", "{}", "out.json", "--to", "label-studio"],
    ["train", "{}", "-o", "model"],
    ["reproduce", "{}", "-o", "out"],
    ["reproduce", "--render", "{}", "-o", "out.md"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_blocks_on_a_pipe_or_a_system_file(pipe, capsys, monkeypatch, command):
    from twofold.cli.main import main

    monkeypatch.chdir(pipe.parent)
    Path("a.jsonl").write_text('{"id": 1, "text": "Anna", "entities": []}\n', encoding="utf-8")
    for path in [pipe, *SYSTEM_FILES]:
        arguments = [part.format(path) for part in command]
        if arguments[1] == "FILE":
            arguments[1] = "a.jsonl"
        assert main(arguments) in (1, 2), path
        shown = capsys.readouterr()
        assert str(path) in shown.out + shown.err
        assert not any(word in shown.err for word in ("Errno", "Traceback", "codec"))


def test_extract_reads_one_pipe_as_it_reads_standard_input(both, pipe):
    writing = subprocess.Popen(
        [sys.executable, "-c", f"""open({str(pipe)!r}, "w").write('{{"id": 7, "text": "Anna"}}\\n')"""]
    )
    from twofold.cli.main import main

    out = pipe.parent / "out.jsonl"
    assert main(["extract", "--model", str(both), str(pipe), "-o", str(out)]) == 0
    assert writing.wait() == 0
    assert json.loads(out.read_text(encoding="utf-8"))["id"] == 7


def test_a_model_folder_with_a_pipe_in_it_is_refused(both, pipe):
    import shutil

    from twofold import load

    folder = pipe.parent / "model"
    shutil.copytree(both, folder)
    for name in ("config.json", "calibration.json", "text.onnx", "manifest.json"):
        shutil.copytree(both, folder, dirs_exist_ok=True)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(TwofoldError, match=name):
            load(folder)
        (folder / name).unlink()
