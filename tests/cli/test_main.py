"""Behaviour shared by all commands: messages instead of tracebacks, exit codes, a quick start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from twofold import __version__
from twofold.cli import main as cli
from twofold.cli.main import main
from twofold.errors import DataError


@pytest.fixture
def failing(monkeypatch):
    """Makes the command ``extract`` raise a given error."""

    def install(error: BaseException) -> None:
        def run(arguments):
            raise error

        monkeypatch.setattr(cli, "_run", run)

    return install


def test_a_mistake_is_one_line_and_code_2(failing, capsys):
    failing(DataError("no such file", where="posts\x1b[31m.jsonl", do="check the path"))
    assert main(["extract"]) == 2
    assert capsys.readouterr().err == "twofold: posts\\x1b[31m.jsonl: no such file; check the path\n"


def test_a_full_disk_is_one_line_too(failing, capsys):
    failing(OSError(28, "No space left on device", "out.jsonl.part"))
    assert main(["extract"]) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_debug_shows_the_traceback(failing):
    failing(DataError("no such file"))
    with pytest.raises(DataError):
        main(["extract", "--debug"])


def test_a_bug_is_not_hidden(failing):
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["extract"])


def test_an_interrupt(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["extract"]) == 130
    assert capsys.readouterr().err == "twofold: interrupted\n"


def test_no_command_prints_help(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert all(command in shown for command in cli.COMMANDS)


@pytest.mark.parametrize("arguments", [["paint"], ["extract", "--colour"], ["extract", "--batch-size", "x"]])
def test_what_argparse_refuses_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"twofold {__version__}\n"


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "usage: twofold" in capsys.readouterr().out


def test_starting_imports_nothing_heavy():
    code = (
        "import sys; from twofold.cli.main import build_parser; build_parser(['extract', '-'])\n"
        "heavy = {'numpy', 'onnxruntime', 'PIL', 'rich', 'torch', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_that_exits_early_is_no_error():
    code = (
        "import sys\n"
        "from twofold.cli import main as cli\n"
        "def run(arguments):\n"
        "    while True: print('line')\n"
        "cli._run = run\n"
        "cli.entry()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "line\n"
    child.stdout.close()
    assert child.wait(20) == 141
    assert child.stderr.read() == ""
    child.stderr.close()


def test_an_error_of_the_operating_system_is_a_readable_message(tmp_path, capsys):
    """For example, a file name that is too long is an error wherever it is first used."""
    long = str(tmp_path / ("x" * 300))
    for arguments in (
        ["extract", long],
        ["extract", "--images", long, "--text", "a"],
        ["evaluate", long, "a"],
    ):
        assert main(arguments) == 2
        shown = capsys.readouterr().err
        assert "Errno" not in shown
        assert len(shown) < 500


def test_circular_links_and_the_root_folder_are_errors(both, tmp_path, capsys):
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "Anna"}\n', encoding="utf-8")
    relations = str(both.parent / "relations")
    for arguments in (
        ["combine", str(both), relations, "-o", str(tmp_path / "ring")],
        ["extract", "--model", str(both), str(tmp_path / "a.jsonl"), "-o", "/"],
        ["extract", "--model", str(both), str(tmp_path / "ring")],
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith("twofold: ")


def test_json_without_a_table_is_not_rendered(tmp_path, capsys):
    for content in ('{"a": 1}', "[]", "3", '{"title": "x", "data": []}'):
        (tmp_path / "x.json").write_text(content, encoding="utf-8")
        assert main(["reproduce", "--render", str(tmp_path / "x.json"), "-o", str(tmp_path / "x.md")]) == 2
        assert "x.json: holds no results of a table" in capsys.readouterr().err
